"""The parts of the companion, whichever there are: for the endpoints of every app, and for realtime sessions."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from rapport.core.pose import PoseFrame
from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import Question, Reply
from rapport.serve_apps.conversation_emotion.answers import ConversationService
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.waiting import Recent, in_time
from rapport.serve_apps.listener.answers import ModelFacts as MotionFacts
from rapport.serve_apps.listener.answers import MotionService
from rapport.serve_apps.live_dialogue.settings import LiveSettings
from rapport.serve_apps.realtime.parts import Facts, HeadFeed
from rapport.serve_apps.speech_emotion.answers import EmotionService
from rapport.serve_apps.spoken_dialogue.answers import DialogueService
from rapport.serve_apps.spoken_dialogue.api import TRANSCRIBER_ID
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder

T = TypeVar("T")

_FACTS_KEPT_S = 10.0
_FACTS_WITHIN_S = 30.0

OpenHead = Callable[[float | None, int | None], Awaitable[HeadFeed]]


@dataclass(frozen=True, slots=True)
class Present:
    """Which parts there are."""

    emotion: bool = True
    dialogue: bool = True
    voice: bool = True
    transcriber: bool = True
    head_motion: bool = True
    conversations: bool = True


@dataclass(frozen=True, slots=True)
class Services:
    """The work behind the endpoints; who asks for a part that is not there is told so."""

    emotion: EmotionService
    dialogue: DialogueService
    head_motion: MotionService
    conversations: ConversationService
    open_head: OpenHead
    present: Present


class Graph:
    """`Parts` of realtime sessions, made of the services."""

    def __init__(self, services: Services, settings: LiveSettings) -> None:
        self.services, self._settings = services, settings
        # Asked for again: another model may have been deployed.
        self.facts = Recent(lambda: in_time(self._find_facts(), _FACTS_WITHIN_S), _FACTS_KEPT_S)

    async def emotion(self, samples: np.ndarray) -> dict[str, float]:
        """As `Parts.emotion`."""
        return (await self.services.emotion.analyse(samples, None, None)).scores

    async def transcribe(self, samples: np.ndarray) -> str:
        """As `Parts.transcribe`."""
        return await self.services.dialogue.transcribe(samples)

    async def answer(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """As `Parts.answer`."""
        async with aclosing(self.services.dialogue.stream(question)) as items:
            async for item in items:
                yield item

    async def speak(self, order: SpeechOrder) -> bytes:
        """As `Parts.speak`."""
        return await self.services.dialogue.speak(order)

    async def head(self, rate_hz: float | None, seed: int | None) -> HeadFeed:
        """As `Parts.head`."""
        return await self.services.open_head(rate_hz, seed)

    async def _find_facts(self) -> Facts:
        present, services, settings = self.services.present, self.services, self._settings
        dialogue, voices, motion = await asyncio.gather(
            _of(present.dialogue, services.dialogue.facts),
            _of(present.voice, services.dialogue.voices),
            _of(present.head_motion, services.head_motion.facts),
        )
        return Facts(
            dialogue=dialogue.engine if dialogue else None,
            voices=tuple(voices or ()),
            emotion=present.emotion,
            transcriber=present.transcriber,
            head_motion=bool(motion and motion.streams),
            dialogue_id=settings.dialogue.model_id,
            emotion_id=settings.emotion.model_id,
            transcriber_id=TRANSCRIBER_ID,
        )


class Recordings:
    """A `MotionService` for recordings alone, of a deployment or of nothing; voices are followed by `Services.open_head`."""

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        """`ask` calls a method of the deployment by its name."""
        self._ask = ask

    async def motion(self, samples: np.ndarray, rate_hz: float | None, seed: int | None) -> list[PoseFrame]:
        """As `MotionService.motion`."""
        found: list[PoseFrame] = await self._ask("motion", samples, rate_hz, seed)
        return found

    async def facts(self) -> MotionFacts:
        """As `MotionService.facts`."""
        found: MotionFacts = await self._ask("facts")
        return found

    def sessions(self) -> Any:
        """Raises ApiError (404)."""
        raise ApiError(404, "streams of head motion alone are served by the app head_motion: here, connect to /v1/realtime")


async def _of(there: bool, find: Callable[[], Awaitable[T]]) -> T | None:
    return await find() if there else None
