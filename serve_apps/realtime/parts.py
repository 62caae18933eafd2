"""What does the work behind a session. Which parts there are may differ from server to server; each is told by `Facts`."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rapport.core.pose import PoseFrame
from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import EngineFacts, Question, Reply
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder


@dataclass(frozen=True, slots=True)
class Facts:
    """Which parts there are; what is None or empty is not there."""

    dialogue: EngineFacts | None = None
    """The model that hears and, if it has learned to, replies."""
    voices: tuple[str, ...] = ()
    """Names of the voices in which replies are spoken."""
    emotion: bool = False
    """Whether somebody tells the emotion while the user speaks."""
    transcriber: bool = False
    """Whether there is a transcriber beside the dialogue model."""
    head_motion: bool = False
    """Whether a head moves."""
    dialogue_id: str = "emosds"
    """Names of the parts in events."""
    emotion_id: str = "ser"
    transcriber_id: str = "asr"

    @property
    def replies(self) -> bool:
        """Whether anybody answers."""
        return self.dialogue is not None and self.dialogue.replies

    def told(self) -> dict[str, bool]:
        """Which parts there are, for clients."""
        return {
            "emotion": self.emotion,
            "transcription": self.transcriber or self.dialogue is not None,
            "dialogue": self.replies,
            "voice": bool(self.voices),
            "head_motion": self.head_motion,
        }


class HeadFeed(Protocol):
    """A listener's head that follows one voice."""

    rate_hz: float
    """Poses a second."""

    def hear(self, pcm: bytes) -> None:
        """Take whole 16-bit samples, 24 kHz; returns at once."""

    def poses(self) -> AsyncIterator[list[PoseFrame]]:
        """The poses as they become due, until the feed is closed; times count the sound that was taken."""

    async def close(self) -> None:
        """End it."""


class Parts(Protocol):
    """The parts. Errors that a client can mend are RapportError, a full queue is an ApiError (429)."""

    async def emotion(self, samples: np.ndarray) -> dict[str, float]:
        """Probability of each emotion in speech [S], 16 kHz."""

    async def transcribe(self, samples: np.ndarray) -> str:
        """The words of speech [S], 16 kHz."""

    def answer(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """The answer to speech in pieces as it is written, the whole answer last."""

    async def speak(self, order: SpeechOrder) -> bytes:
        """Speech as samples of the protocol."""

    async def head(self, rate_hz: float | None, seed: int | None) -> HeadFeed:
        """A head of its own for one voice."""
