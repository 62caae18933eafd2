"""A listener's head that follows the user for a whole session, whatever becomes of its feed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from rapport.core.errors import RapportError
from rapport.core.pose import DECIMALS, PoseFrame
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.realtime.input_audio import BYTES
from rapport.serve_apps.realtime.parts import HeadFeed, Parts
from rapport.serve_apps.realtime.server_events import Frame, HeadMotionDelta, ServerEvent, error_event
from rapport.serve_apps.realtime.session_config import RATE_HZ, HeadMotion

logger = logging.getLogger("ray.serve")

_WAITS = RATE_HZ * BYTES  # sound that waits for a feed that is not there yet: one second


class Head:
    """Takes the user's sound, and tells poses as they become due."""

    def __init__(self, parts: Parts, emit: Callable[[ServerEvent], None]) -> None:
        self._parts, self._emit = parts, emit
        self._feed: HeadFeed | None = None
        self._following: asyncio.Task[None] | None = None
        self._waiting = bytearray()
        self._offset_s = 0.0
        self._heard = 0  # samples so far

    def move(self, settings: HeadMotion | None) -> None:
        """Begin to follow, otherwise than before, or rest."""
        self.rest()
        self._waiting.clear()
        if settings is not None:
            self._following = asyncio.create_task(self._follow(settings))

    def hear(self, pcm: bytes) -> None:
        """Take more of the user's sound."""
        self._heard += len(pcm) // BYTES
        if self._feed is not None:
            self._feed.hear(pcm)
        elif self._following is not None:
            self._waiting += pcm
            del self._waiting[: max(0, len(self._waiting) - _WAITS)]

    def rest(self) -> None:
        """Follow no more."""
        if self._following is not None:
            self._following.cancel()
        self._following, self._feed = None, None

    async def _follow(self, settings: HeadMotion) -> None:
        feed: HeadFeed | None = None
        try:
            feed = await self._parts.head(settings.rate_hz, settings.seed)
            self._offset_s = (self._heard - len(self._waiting) // BYTES) / RATE_HZ
            if self._waiting:
                feed.hear(bytes(self._waiting))
                self._waiting.clear()
            self._feed = feed
            async for poses in feed.poses():
                self._emit(HeadMotionDelta(rate_hz=feed.rate_hz, frames=[self._frame(pose) for pose in poses]))
        except Exception as error:
            known = isinstance(error, RapportError | ApiError)
            if not known:
                logger.exception("unforeseen error in a head that moves")
            told = str(error) if known else "an error of the server, not of your request"
            self._emit(error_event(f"the head rests: {told}", code="head_motion_failed", kind="server_error"))
        finally:
            self._feed = None
            if feed is not None:
                with suppress(Exception):
                    await feed.close()

    def _frame(self, pose: PoseFrame) -> Frame:
        angles = {name: round(value, DECIMALS) for name, value in pose._asdict().items()}
        return Frame(**{**angles, "time_s": round(pose.time_s + self._offset_s, DECIMALS)})
