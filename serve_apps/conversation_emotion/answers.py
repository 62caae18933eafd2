"""What the endpoint for emotions in conversations answers, and what the model behind it must be able to do."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import ConfigDict, Field

from rapport.core.conversations import canonical_emotion
from rapport.core.emotions import strongest
from rapport.serve_apps.http.answers import Answer, PlainModelCard
from rapport.serve_apps.http.errors import ApiError


@dataclass(frozen=True, slots=True)
class AskedDialogue:
    """A conversation, and which of its turns are asked about."""

    lines: tuple[tuple[str, str], ...]
    """Speaker and words of every turn."""
    personas: Mapping[str, str] = field(default_factory=dict)
    scene: str = ""
    turns: tuple[int, ...] = ()
    """Ascending, from 0."""


@dataclass(frozen=True, slots=True)
class Question:
    """All that a request asks."""

    dialogues: tuple[AskedDialogue, ...]
    adapter: str = ""
    """Name of the adapter to ask; empty is the model itself."""
    rationale: bool = False


SMALL_TALK = Question((AskedDialogue((("Nora", "Hello."),), turns=(0,)),))
"""What any model can be asked, to see that it answers."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is felt in a turn."""

    dialogue: int
    turn: int
    scores: Mapping[str, float]
    """Label to probability; they sum to 1."""
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some words of the reasons for a turn, as they are written."""

    dialogue: int
    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Reasons:
    """The whole reasons for a turn."""

    dialogue: int
    turn: int
    text: str
    """Without the label that they end in."""
    label: str | None
    """That label; None where there is none."""
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more comes."""


Item = Judged | Piece | Reasons | Done


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What a client may want to know about the model, or about one of its adapters."""

    labels: tuple[str, ...]
    corpus: str
    created: int
    """When it was saved, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model and its adapters."""

    model: AdapterFacts
    adapters: Mapping[str, AdapterFacts]


class ConversationService(Protocol):
    """The model behind the endpoint: a Serve deployment, or an engine in this process.

    Raises RapportError for what the client can mend, ApiError (429) where a queue is full.
    """

    async def answer(self, question: Question) -> list[Judged | Reasons]:
        """Each turn that is asked about, in order, and the reasons for it where they are wanted."""

    def stream(self, question: Question) -> AsyncGenerator[Item]:
        """The same as it is found, reasons in pieces and then as a whole, `Done` last."""

    async def facts(self) -> ModelFacts:
        """What is loaded."""


class NoService:
    """A `ConversationService` that has nothing to say: for looking at the interface alone."""

    async def answer(self, question: Question) -> list[Judged | Reasons]:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")

    async def stream(self, question: Question) -> AsyncGenerator[Item]:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")
        yield

    async def facts(self) -> ModelFacts:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")


class TurnEmotion(Answer):
    """What is felt in a turn."""

    turn: int
    """Its place in the dialogue, from 0."""
    speaker: str
    emotion: str
    """The likeliest label, as the corpus that the model learned from writes it."""
    emotion_canonical: str | None
    """The same in the words that all models of this toolkit share; null where they have none for it."""
    scores: dict[str, float]
    """Probability of each label; they sum to 1."""
    rationale: str | None = None
    """Reasons, when asked for. The model writes them on its own: they explain what it was taught to explain, not how it computes."""
    rationale_emotion: str | None = None
    """The label that the reasons end in. It may be another one than `emotion`; null where they end in none."""

    @classmethod
    def of(cls, judged: Judged, speaker: str, reasons: Reasons | None = None) -> "TurnEmotion":
        """The answer for a turn."""
        emotion = strongest(judged.scores)
        return cls(
            turn=judged.turn,
            speaker=speaker,
            emotion=emotion,
            emotion_canonical=canonical_emotion(emotion),
            scores={label: round(float(score), 6) for label, score in judged.scores.items()},
            rationale=reasons.text if reasons else None,
            rationale_emotion=reasons.label if reasons else None,
        )


class DialogueEmotions(Answer):
    """The turns of a dialogue that were asked about."""

    dialogue_id: str
    turns: list[TurnEmotion]


class Usage(Answer):
    """Tokens, as OpenAI counts them."""

    prompt_tokens: int = 0
    """Of all prompts: one for each turn, and one more for its reasons."""
    completion_tokens: int = 0
    """Of reasons."""
    total_tokens: int = 0

    def plus(self, item: Judged | Reasons) -> "Usage":
        """With those of one more item."""
        prompt = self.prompt_tokens + item.prompt_tokens
        written = self.completion_tokens + (item.tokens if isinstance(item, Reasons) else 0)
        return Usage(prompt_tokens=prompt, completion_tokens=written, total_tokens=prompt + written)


class EmotionsAnswer(Answer):
    """The emotions of conversations, turn by turn."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "list",
                    "model": "coe",
                    "data": [
                        {
                            "dialogue_id": "0",
                            "turns": [
                                {
                                    "turn": 1,
                                    "speaker": "Eli",
                                    "emotion": "neutral",
                                    "emotion_canonical": "neutral",
                                    "scores": {"neutral": 0.81, "surprise": 0.04, "sad": 0.06, "angry": 0.09},
                                    "rationale": "Eli takes nothing seriously, and says what he has done as if there were time.",
                                    "rationale_emotion": "neutral",
                                }
                            ],
                        }
                    ],
                    "usage": {"prompt_tokens": 190, "completion_tokens": 21, "total_tokens": 211},
                }
            ]
        }
    )

    object: Literal["list"] = "list"
    model: str
    """Id of the model that answered."""
    data: list[DialogueEmotions]
    """In the order of the request."""
    usage: Usage


class Event(Answer):
    """A part of a streamed answer: one of its fields `result`, `rationale_delta`, `rationale` and `usage` has something."""

    object: Literal["dialogue.emotions.chunk"] = "dialogue.emotions.chunk"
    model: str
    dialogue_id: str | None = None
    turn: int | None = None
    """Which turn of the dialogue it is about."""
    result: TurnEmotion | None = None
    """What is felt in it."""
    rationale_delta: str | None = None
    """Words of its reasons as they are written, with the label in angle brackets that they end in."""
    rationale: str | None = None
    """Its reasons as a whole, without that label; nothing more comes about this turn."""
    rationale_emotion: str | None = None
    """That label, beside `rationale`."""
    usage: Usage | None = None
    """Tokens of all; nothing more comes."""


class ModelCard(PlainModelCard):
    """A model, as the OpenAI list has it, with what is special to emotions in conversations."""

    emotions: list[str]
    """Its labels, in their order."""
    emotions_canonical: list[str | None]
    """The same in the words that all models of this toolkit share; null where they have none."""
    corpus: str
    """What it learned from."""
    parent: str | None = Field(default=None, examples=["coe"])
    """Of an adapter, the model that carries it."""
