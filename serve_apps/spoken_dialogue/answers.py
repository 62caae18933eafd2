"""What the spoken dialogue endpoints answer, and what must be able to do the work behind them."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import ConfigDict, Field

from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import EngineFacts, Question, Reply
from rapport.serve_apps.http.answers import Answer, PlainModelCard
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a client may want to know about the dialogue model."""

    engine: EngineFacts
    created: int
    """When the model was saved, in seconds since 1970."""


class DialogueService(Protocol):
    """The work behind the endpoints: Serve deployments, or engines in this process.

    Raises RapportError for what the client can mend, ApiError (429) where a queue is full.
    """

    async def reply(self, question: Question) -> Reply:
        """The answer to a recording."""

    def stream(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """The same in pieces as it is written, the whole answer last."""

    async def speak(self, order: SpeechOrder) -> bytes:
        """A file of speech."""

    async def transcribe(self, samples: np.ndarray) -> str:
        """The words of a recording [S], 16 kHz, by the transcriber beside the model."""

    async def facts(self) -> ModelFacts:
        """What the loaded model is."""

    async def voices(self) -> list[str]:
        """The names by which voices may be called."""


class NoService:
    """A `DialogueService` that has nothing to say: for looking at the interface alone."""

    async def reply(self, question: Question) -> Reply:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")

    async def stream(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")
        yield

    async def speak(self, order: SpeechOrder) -> bytes:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no voice here")

    async def transcribe(self, samples: np.ndarray) -> str:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no transcriber here")

    async def facts(self) -> ModelFacts:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")

    async def voices(self) -> list[str]:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no voice here")


class Emotions(Answer):
    """Who feels what."""

    user: str | None = None
    """How the recording was said; None where the model did not tell."""
    reply: str | None = None
    """How the reply is said."""


class Usage(Answer):
    """Tokens, as OpenAI counts them."""

    prompt_tokens: int
    """Instructions, history, and what stands for the recording."""
    completion_tokens: int
    """Emotions, transcript and reply."""
    total_tokens: int

    @classmethod
    def of(cls, reply: Reply) -> "Usage":
        """The tokens of a reply and its question."""
        asked, answered = reply.question_tokens, reply.answer_tokens
        return cls(prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered)


class ReplyAudio(Answer):
    """The reply as speech."""

    id: str
    data: str
    """The file, base64."""
    expires_at: int
    """Seconds since 1970. Nothing is kept: send the text of the reply in later requests."""
    transcript: str
    """The words of the reply."""


class ReplyMessage(Answer):
    """The reply."""

    role: Literal["assistant"] = "assistant"
    content: str
    """Its words."""
    refusal: None = None
    audio: ReplyAudio | None = None
    """Its speech, when asked for."""
    x_emotion: str | None = None
    """How it is said. A message that is sent back as history keeps its emotion by this."""


class Choice(Answer):
    """The one answer."""

    index: Literal[0] = 0
    message: ReplyMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatAnswer(Answer):
    """The answer to speech: what was said and how, and what is replied and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "chatcmpl-4f1c",
                    "object": "chat.completion",
                    "created": 1760000000,
                    "model": "emosds",
                    "choices": [
                        {
                            "index": 0,
                            "message": {
                                "role": "assistant",
                                "content": "That is rough, shall I look for a night train?",
                                "audio": {"id": "audio_4f1c", "data": "UklGR...", "expires_at": 1760000000, "transcript": "That is ..."},
                                "x_emotion": "neutral",
                            },
                            "finish_reason": "stop",
                        }
                    ],
                    "usage": {"prompt_tokens": 180, "completion_tokens": 24, "total_tokens": 204},
                    "x_emotion": {"user": "sad", "reply": "neutral"},
                    "x_transcript": "I missed the last bus.",
                }
            ]
        }
    )

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice] = Field(min_length=1, max_length=1)
    usage: Usage
    x_emotion: Emotions
    """Of the user and of the reply."""
    x_transcript: str
    """What the user said."""


class Transcription(Answer):
    """The words of a recording."""

    text: str
    x_emotion: str | None = None
    """How they were said, when the dialogue model wrote them down."""


class Segment(Answer):
    """One stretch of a recording."""

    id: int
    start: float
    """Seconds."""
    end: float
    text: str
    x_emotion: str | None = None


class VerboseTranscription(Transcription):
    """The same with its stretches."""

    task: Literal["transcribe"] = "transcribe"
    duration: float
    """Seconds."""
    language: str
    segments: list[Segment]
    """Stretches of the recording, cut in its pauses."""


class ModelCard(PlainModelCard):
    """A model, as the OpenAI list has it, with what is special to it."""

    emotions: list[str] | None = None
    """What it hears and answers with."""
    voices: list[str] | None = None
    """The names of its voices."""


def chunk(head: Mapping[str, Any], delta: Mapping[str, Any], finish_reason: str | None = None, **extra: Any) -> dict[str, Any]:
    """A part of a streamed answer, in OpenAI's shape."""
    return {**head, "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}], **extra}
