"""The emotion of the user while they speak: one look at a time, the newest first wanted, none in a queue that grows."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rapport.core.audio import SAMPLE_RATE_HZ, from_pcm16, resample
from rapport.core.emotions import strongest
from rapport.core.errors import RapportError
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.realtime.input_audio import milliseconds
from rapport.serve_apps.realtime.parts import Facts, Parts
from rapport.serve_apps.realtime.server_events import EmotionDelta, ServerEvent
from rapport.serve_apps.realtime.session_config import RATE_HZ

logger = logging.getLogger("ray.serve")

_FINALS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be listened to."""

    item_id: str
    pcm: bytes
    start: int
    """Its first sample."""
    final: bool
    """Whether it is a whole turn."""


class Looks:
    """Tells the emotion of stretches of a voice."""

    def __init__(self, parts: Parts, facts: Facts, emit: Callable[[ServerEvent], None]) -> None:
        self._parts, self._facts, self._emit = parts, facts, emit
        self._wanted: deque[Look] = deque()
        self._looking: asyncio.Task[None] | None = None

    def want(self, look: Look) -> None:
        """Look when there is time. A stretch of a turn that goes on takes the place of an earlier one that still waits."""
        if not self._facts.emotion:
            return
        finals = [waiting for waiting in self._wanted if waiting.final][-_FINALS:]
        self._wanted = deque([*finals, look])
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._work())

    def stop(self) -> None:
        """Look no more."""
        self._wanted.clear()
        if self._looking is not None:
            self._looking.cancel()

    async def _work(self) -> None:
        while self._wanted:
            look = self._wanted.popleft()
            try:
                samples = resample(from_pcm16(look.pcm), RATE_HZ, SAMPLE_RATE_HZ)
                scores = await self._parts.emotion(samples)
            except (RapportError, ApiError) as error:
                # A queue that is full, or silence: the next look may see more.
                logger.info("no emotion of a stretch: %s", error)
                continue
            except Exception:
                logger.exception("unforeseen error in a look at an emotion")
                continue
            self._emit(_told(look, scores, self._facts.emotion_id))


def _told(look: Look, scores: dict[str, float], model: str) -> EmotionDelta:
    return EmotionDelta(
        item_id=look.item_id,
        emotion=strongest(scores),
        scores={emotion: round(float(score), 6) for emotion, score in scores.items()},
        audio_start_ms=milliseconds(look.start),
        audio_end_ms=milliseconds(look.start + len(look.pcm) // 2),
        model=model,
        final=look.final,
    )
