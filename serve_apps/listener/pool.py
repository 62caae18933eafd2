"""Many sessions on one model: what has come for any of them since the last round is moved together, in one product for all."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from rapport.core.errors import RapportError
from rapport.models.listener.model import HeadMotionModel
from rapport.serve_apps.http.errors import ApiError, busy
from rapport.serve_apps.listener.messages import Start
from rapport.serve_apps.listener.sessions import Done, Mover, Session, Work, move, refused
from rapport.serve_apps.listener.settings import StreamSettings

T = TypeVar("T")

Meter = Callable[[float | None, float], None]
"""Is told what each move of a session cost: the milliseconds from the arrival of its oldest sound to its poses, where there was any sound,
and the seconds of sound that were dropped before it."""

logger = logging.getLogger("ray.serve")

# Sessions without audio are looked after this often: the quickest clock that a client may ask for.
_BEAT_S = 1 / 60


class SessionPool:
    """The sessions of one replica. Lives on one event loop; the model moves on a thread of its own, between two rounds or not at all."""

    def __init__(
        self, model: HeadMotionModel, settings: StreamSettings, clock: Callable[[], float] = time.monotonic, meter: Meter | None = None
    ) -> None:
        """`clock` gives seconds."""
        self._model, self.settings, self.clock, self._meter = model, settings, clock, meter
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="motion")
        self._sessions: set[Session] = set()
        self._places = 0
        self._news = asyncio.Event()
        self._rounds: asyncio.Task[None] | None = None

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return self._places

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one client, while it is held. Raises ApiError (429) when all are taken."""
        if self._places >= self.settings.max_sessions:
            raise busy(f"{self._places} streams are under way, the limit is {self.settings.max_sessions} (max_sessions)", 2.0)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def open(self, start: Start) -> Session:
        """A new session, which moves from now on. Raises ApiError (400) when the model cannot do what is asked."""
        try:
            mover = await self._run(Mover, self._model, start)
        except RapportError as error:
            raise refused(error) from error
        session = Session(mover, self.settings, self.clock())
        self._sessions.add(session)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._go_round())
        return session

    def close(self, session: Session) -> None:
        """Forget a session."""
        self._sessions.discard(session)

    def hurry(self) -> None:
        """Something has come for a session."""
        self._news.set()

    async def round(self) -> None:
        """Do what is due for all sessions, once."""
        now_s = self.clock()
        works: list[tuple[Session, Work]] = []
        for session in list(self._sessions):
            with self._alone(session):
                self._check(session, now_s)
                if work := session.due(now_s):
                    works.append((session, work))
        if not works:
            return
        try:
            found: list[Done | Exception] = await self._run(move, [(session.mover, work) for session, work in works])
        except Exception as error:
            # No session knows how far it got.
            logger.exception("unforeseen error in %d streams", len(works))
            for session, _ in works:
                self._drop(session, error)
            return
        now_s = self.clock()
        for (session, work), done in zip(works, found, strict=True):
            with self._alone(session):
                if isinstance(done, Exception):
                    raise done
                session.give(work, done, now_s)
                if self._meter is not None:
                    self._meter(1000 * (now_s - work.since_s) if work.pcm else None, work.dropped / session.mover.sample_rate_hz)

    def _check(self, session: Session, now_s: float) -> None:
        """Raises ApiError (408) where a client has gone, or does not say what it reads."""
        after_s = f"{self.settings.gone_after_s:g} s (gone_after_s)"
        if session.is_gone(now_s):
            raise ApiError(408, f"nothing came for {after_s}: send audio, or a ping")
        if session.is_deaf(now_s):
            raise ApiError(408, f'no pose was acknowledged for {after_s}: send {{"type": "ack", "time_s": ...}} of what is read')

    @contextmanager
    def _alone(self, session: Session) -> Iterator[None]:
        """An error ends this session, and no other."""
        try:
            yield
        except Exception as error:
            self._drop(session, error)

    def _drop(self, session: Session, error: Exception) -> None:
        session.end(error)
        self.close(session)

    async def _go_round(self) -> None:
        while self._sessions:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _BEAT_S)
            if self.settings.tick_s:
                await asyncio.sleep(self.settings.tick_s)
            self._news.clear()
            try:
                await self.round()
            except Exception as error:
                # Without rounds nobody would move, and no place would ever be free again.
                logger.exception("unforeseen error in a round of %d streams", len(self._sessions))
                for session in list(self._sessions):
                    self._drop(session, error)

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
