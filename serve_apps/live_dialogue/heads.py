"""Heads that follow voices of realtime sessions: the deployment where they move, and what a front holds of each.

A voice and its head must meet in the same copy of the model. Requests of one head carry its name as session id, which Serve's consistent
hashing leads to one copy; where copies come and go, the head begins afresh in another, from where its voice is.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import numpy as np
from ray.exceptions import RayError
from ray.serve.handle import DeploymentHandle

from rapport.core.pose import PoseFrame
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.queues import queued, queued_items
from rapport.serve_apps.listener.answers import ModelFacts
from rapport.serve_apps.listener.messages import Start
from rapport.serve_apps.listener.settings import MotionSettings
from rapport.serve_apps.realtime.input_audio import BYTES, seconds_of
from rapport.serve_apps.realtime.session_config import RATE_HZ

logger = logging.getLogger("ray.serve")

ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
"""What leads requests of one session to one copy."""

_AWAKE_S = 1.0  # a head whose voice says nothing is told so often that somebody is there
_WAITS = RATE_HZ * BYTES  # sound that waits while other sound is on the way: one second
_TRIES, _PAUSE_S = 6, 0.2
_LOST = object()


class Heads:
    """The model of head motion: recordings, and heads that follow voices, all moved together."""

    def __init__(self, model: str, settings: Mapping[str, Any]) -> None:
        from rapport.models.find import find_model
        from rapport.serve_apps.listener.engine import MotionEngine
        from rapport.serve_apps.listener.meters import meter

        self._engine = MotionEngine(find_model(model, "listener"), MotionSettings.model_validate(settings).stream, meter())
        self._engine.warm_up()
        self._following: dict[str, Any] = {}
        self._heard_s: dict[str, float] = {}

    async def motion(self, samples: np.ndarray, rate_hz: float | None, seed: int | None) -> list[PoseFrame]:
        """As `MotionService.motion`."""
        return await self._engine.motion(np.array(samples), rate_hz, seed)

    async def facts(self) -> ModelFacts:
        """As `MotionService.facts`."""
        return await self._engine.facts()

    async def follow(self, name: str, start: Mapping[str, Any]) -> AsyncGenerator[float | list[PoseFrame]]:
        """Poses a second, then the poses as they become due. Ends by an ApiError where nothing is heard of the voice."""
        pool = self._engine.sessions()
        with pool.place():
            session = await pool.open(Start.model_validate({"type": "start", **start}))
            self._following[name], self._heard_s[name] = session, pool.clock()
            try:
                yield session.mover.poses_at.rate_hz
                async with aclosing(_until(session.messages(), session.ended)) as messages:
                    async for message in messages:
                        # To read what is told here is no sign of life: a front that is lost reads on for ever.
                        if pool.clock() - self._heard_s[name] > pool.settings.gone_after_s:
                            raise ApiError(408, f"nothing was heard of a voice for {pool.settings.gone_after_s:g} s (gone_after_s)")
                        frames = [PoseFrame(**frame) for frame in message.get("frames", ())]
                        if frames:
                            # Whoever asks has them as soon as they are given: nothing is unread in between.
                            session.acknowledge(frames[-1].time_s, pool.clock())
                            yield frames
            finally:
                del self._following[name], self._heard_s[name]
                pool.close(session)

    async def hear(self, name: str, pcm: bytes) -> bool:
        """Take more of a voice, or a sign that it is there. Whether its head is here."""
        session = self._following.get(name)
        if session is None:
            return False
        pool = self._engine.sessions()
        self._heard_s[name] = pool.clock()
        if pcm:
            session.hear(pcm, pool.clock())
        else:
            session.acknowledge(0.0, pool.clock())
        pool.hurry()
        return True


class Head:
    """A `HeadFeed` from the deployment. Sound never waits for an answer: what comes meanwhile goes with the next request."""

    def __init__(self, heads: DeploymentHandle, rate_hz: float | None, seed: int | None) -> None:
        self._handle = heads
        self._start = {"sample_rate_hz": RATE_HZ, "rate_hz": rate_hz, "seed": seed}
        self._waiting = bytearray()
        self._news = asyncio.Event()
        self._sent = 0  # samples of the voice that are settled
        self._offset_s = 0.0
        self._closed = False
        self._poses: asyncio.Queue[Any] = asyncio.Queue(1)
        self.rate_hz = 0.0

    @classmethod
    async def open(cls, heads: DeploymentHandle, rate_hz: float | None, seed: int | None) -> "Head":
        """A head that is ready. Raises what the deployment does, ApiError (429) where all places are taken."""
        head = cls(heads, rate_hz, seed)
        await head._begin()
        return head

    def hear(self, pcm: bytes) -> None:
        """As `HeadFeed.hear`."""
        self._waiting += pcm
        excess = len(self._waiting) - _WAITS
        if excess > 0:
            del self._waiting[:excess]
            self._sent += excess // BYTES
        self._news.set()

    async def poses(self) -> AsyncIterator[list[PoseFrame]]:
        """As `HeadFeed.poses`. Raises what the deployment does, once it has failed several times in a row."""
        failures = 0
        while not self._closed:
            telling = asyncio.create_task(self._tell())
            try:
                async with aclosing(_until(self._call, telling)) as items:
                    async for item in items:
                        failures = 0
                        yield [pose._replace(time_s=pose.time_s + self._offset_s) for pose in item]
                error: Exception | None = None
            except (RayError, ApiError) as problem:
                error = problem
            finally:
                telling.cancel()
                await asyncio.wait([telling])
            if self._closed:
                return
            failures += 1
            if failures > _TRIES:
                raise error or ApiError(503, "the head does not move")
            await asyncio.sleep(_PAUSE_S * failures)
            with suppress(RayError, ApiError):
                await self._begin()

    async def close(self) -> None:
        """As `HeadFeed.close`."""
        self._closed = True
        await self._call.aclose()

    async def _begin(self) -> None:
        """Ask for a head that follows from here on."""
        self._name = secrets.token_hex(8)
        handle = self._handle.options(session_id=self._name)
        self._mover = handle
        self._call = queued_items(handle.options(stream=True).follow.remote(self._name, self._start), ends=lambda _: False)
        self.rate_hz = await anext(self._call)
        self._offset_s = self._sent / RATE_HZ

    async def _tell(self) -> None:
        """Pass sound on, until the head is not where it was."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _AWAKE_S)
            self._news.clear()
            pcm = bytes(self._waiting)
            self._waiting.clear()
            known = await queued(self._mover.hear.remote(self._name, pcm))
            self._sent += round(seconds_of(pcm) * RATE_HZ)
            if not known:
                return


async def _until(items: AsyncIterator[Any], end: asyncio.Future[Any]) -> AsyncGenerator[Any]:
    """The items, until there are no more or `end` is there, whose error is raised."""
    while True:
        following = asyncio.ensure_future(anext(items, _LOST))
        try:
            await asyncio.wait({following, end}, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                end.result()
                return
            item = following.result()
        finally:
            if not following.done():
                following.cancel()
                await asyncio.wait([following])
        if item is _LOST:
            return
        yield item
