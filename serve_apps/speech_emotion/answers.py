"""What the speech emotion endpoints answer, and what the model behind them must be able to do."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from pydantic import ConfigDict
from pydantic.config import JsonDict

from rapport.core.emotions import strongest
from rapport.serve_apps.http.answers import Answer, PlainModelCard
from rapport.serve_apps.http.errors import ApiError

_SCORES: JsonDict = {
    "neutral": 0.04,
    "calm": 0.02,
    "happy": 0.81,
    "sad": 0.01,
    "angry": 0.05,
    "fearful": 0.02,
    "disgust": 0.01,
    "surprised": 0.04,
}


@dataclass(frozen=True, slots=True)
class WindowScores:
    """The scores of one stretch of a clip."""

    start_s: float
    end_s: float
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The scores of a whole clip and of the windows in it."""

    scores: dict[str, float]
    windows: list[WindowScores]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a client may want to know about the model."""

    emotions: tuple[str, ...]
    window_s: float
    created: int
    """When the model was saved, in seconds since 1970."""


class EmotionService(Protocol):
    """The model behind the endpoints: a Serve deployment, or a predictor in this process."""

    async def analyse(self, samples: np.ndarray, window_s: float | None, hop_s: float | None) -> Analysis:
        """Scores of a clip [S], 16 kHz, and of windows of `window_s` every `hop_s`; a `hop_s` of None asks for no windows."""

    async def transcribe(self, samples: np.ndarray) -> str:
        """The words of a clip [S], 16 kHz."""

    async def facts(self) -> ModelFacts:
        """What the loaded model is."""


class NoService:
    """An `EmotionService` that has nothing to say: for looking at the interface alone."""

    async def analyse(self, samples: np.ndarray, window_s: float | None, hop_s: float | None) -> Analysis:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")

    async def transcribe(self, samples: np.ndarray) -> str:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no transcriber here")

    async def facts(self) -> ModelFacts:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")


class EmotionWindow(Answer):
    """The answer for one stretch of the clip."""

    start_s: float
    """Where the window begins, in seconds."""
    end_s: float
    """Where it ends."""
    emotion: str
    """The strongest emotion."""
    scores: dict[str, float]
    """Probability of each emotion; they sum to 1."""


class EmotionAnswer(Answer):
    """The emotion of a clip of speech."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "audio.emotions",
                    "model": "ser",
                    "emotion": "happy",
                    "scores": _SCORES,
                    "duration_s": 3.2,
                    "windows": [{"start_s": 0.0, "end_s": 3.0, "emotion": "happy", "scores": _SCORES}],
                    "text": None,
                }
            ]
        }
    )

    object: Literal["audio.emotions"] = "audio.emotions"
    model: str
    """Id of the model that answered."""
    emotion: str
    """The strongest emotion of the whole clip."""
    scores: dict[str, float]
    """Probability of each emotion over the whole clip; they sum to 1."""
    duration_s: float
    """Length of the decoded clip."""
    windows: list[EmotionWindow]
    """Emotion over time: overlapping windows at the length that the model was trained on, unless another was asked for."""
    text: str | None = None
    """The words, when asked for."""

    @classmethod
    def of(cls, model: str, duration_s: float, analysis: Analysis, text: str | None) -> "EmotionAnswer":
        """The answer that an analysis amounts to."""
        windows = [
            EmotionWindow(start_s=round(w.start_s, 3), end_s=round(w.end_s, 3), emotion=strongest(w.scores), scores=_rounded(w.scores))
            for w in analysis.windows
        ]
        return cls(
            model=model,
            emotion=strongest(analysis.scores),
            scores=_rounded(analysis.scores),
            duration_s=round(duration_s, 4),
            windows=windows,
            text=text,
        )


class ModelCard(PlainModelCard):
    """A model, as the OpenAI list has it, with what is special to emotion."""

    emotions: list[str]
    """What it tells apart."""
    window_s: float
    """Length of the windows it was trained on."""


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {emotion: round(float(score), 6) for emotion, score in scores.items()}
