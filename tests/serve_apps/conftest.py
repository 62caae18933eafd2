"""Clips to upload, and the speech emotion app in this process with a real, small model behind it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.ser.inference import Predictor, windows
from rapport.serve_apps.speech_emotion.answers import Analysis, ModelFacts, WindowScores


class InProcess:
    """An `EmotionService` without Serve: one predictor, no batches."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    async def analyse(self, samples: np.ndarray, window_s: float | None, hop_s: float | None) -> Analysis:
        scores = self.predictor.predict([samples])[0].scores
        if window_s is None or hop_s is None:
            return Analysis(scores, [])
        spans = windows(len(samples), window_s, hop_s)
        parts = self.predictor.predict([samples[a:b] for a, b in spans])
        return Analysis(
            scores, [WindowScores(a / SAMPLE_RATE_HZ, b / SAMPLE_RATE_HZ, p.scores) for (a, b), p in zip(spans, parts, strict=True)]
        )

    async def transcribe(self, samples: np.ndarray) -> str:
        return "kids are talking by the door"

    async def facts(self) -> ModelFacts:
        return ModelFacts(self.predictor.emotions, self.predictor.window_s, 1_700_000_000)


@pytest.fixture(scope="session")
def predictor(ser_model: Path) -> Predictor:
    return Predictor.from_pretrained(ser_model, device="cpu")


@pytest.fixture(scope="session")
def service(predictor: Predictor) -> InProcess:
    return InProcess(predictor)


@pytest.fixture(scope="session")
def wav() -> Callable[..., bytes]:
    """Samples [S] or [S, C] as a file."""

    def make(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, **how: str) -> bytes:
        sink = io.BytesIO()
        soundfile.write(sink, samples, rate_hz, **{"format": "WAV", **how})
        return sink.getvalue()

    return make
