"""The replies of one session: one at a time, so many a minute, and cut short when the user breaks in."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, from_pcm16, resample
from rapport.serve_apps.realtime.ahead import Ahead
from rapport.serve_apps.realtime.answering import Response
from rapport.serve_apps.realtime.client_events import ResponseOptions
from rapport.serve_apps.realtime.conversation import Conversation, Item
from rapport.serve_apps.realtime.errors import ProtocolError
from rapport.serve_apps.realtime.input_audio import milliseconds
from rapport.serve_apps.realtime.latencies import TurnClock
from rapport.serve_apps.realtime.ordering import SHORTEST_SPEECH, Ordering
from rapport.serve_apps.realtime.parts import Facts, Parts
from rapport.serve_apps.realtime.server_events import ItemTruncated, RateLimits, ServerEvent
from rapport.serve_apps.realtime.session_config import RATE_HZ, SessionConfig
from rapport.serve_apps.realtime.settings import RealtimeSettings
from rapport.serve_apps.realtime.transcribing import Transcribing

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Asked:
    """When a turn was said."""

    clock: TurnClock
    start_ms: int
    end_ms: int


class Replies:
    """Makes them. `last` is the newest, which may be under way."""

    def __init__(
        self,
        parts: Parts,
        facts: Facts,
        settings: RealtimeSettings,
        conversation: Conversation,
        words: Transcribing,
        emit: Callable[[ServerEvent], None],
        now: Callable[[], float],
    ) -> None:
        self._parts, self._facts, self._conversation, self._words, self._emit, self._now = parts, facts, conversation, words, emit, now
        self._ordering = Ordering(facts, settings, conversation)
        self._asked_s: deque[float] = deque(maxlen=settings.max_responses_per_minute)
        self._prepared_s: deque[float] = deque(maxlen=settings.max_responses_per_minute)
        self._turns: dict[str, Asked] = {}
        self._task: asyncio.Task[None] | None = None
        self._ahead: Ahead | None = None
        self.last: Response | None = None

    @property
    def under_way(self) -> bool:
        """Whether a reply is being made."""
        return self.last is not None and not self.last.ended

    @property
    def over_s(self) -> float | None:
        """When the last reply was told and, played as it came, heard to its end; None while one is under way, or before the first."""
        if self.last is None or not self.last.ended:
            return None
        return max(self.last.order.clock.done_s or 0.0, self.last.spoken.ends_s() or 0.0)

    def check(self, config: SessionConfig) -> None:
        """Nothing, if this server can do what these settings want. Raises ProtocolError otherwise."""
        self._ordering.check(config)

    def time(self, item: Item, asked: Asked) -> None:
        """Remember when a turn was said."""
        self._turns[item.id] = asked

    def forget(self, item_id: str) -> None:
        """The message is no more."""
        self._turns.pop(item_id, None)

    def prepare(self, pcm: bytes, config: SessionConfig) -> None:
        """Begin to answer what may be a turn; it is told to nobody until the turn is asked about."""
        self.drop()
        now_s = self._now()
        if len(self._prepared_s) == self._prepared_s.maxlen and now_s - self._prepared_s[0] < _MINUTE_S:
            return
        if self._facts.replies and not self.under_way and len(pcm) >= SHORTEST_SPEECH:
            self._prepared_s.append(now_s)
            self._ahead = Ahead(self._ordering.question(None, _to_16k(pcm), config.max_output_tokens), self._parts)

    def drop(self) -> None:
        """What was prepared is not wanted."""
        if self._ahead is not None:
            self._ahead.drop()
            self._ahead = None

    def begin(self, options: ResponseOptions, config: SessionConfig) -> None:
        """Answer what the user said last. Raises ProtocolError where that cannot be."""
        if self.last is not None and not self.last.ended:
            message = f"response {self.last.id} is under way: wait for response.done, or send response.cancel"
            raise ProtocolError(message, code="conversation_already_has_active_response")
        item = self._ordering.asked()
        now_s = self._now()
        turn = self._turns.get(item.id)
        if turn is None or turn.clock.done_s is not None:  # another answer to the same turn has a clock of its own
            turn = Asked(TurnClock(now_s), turn.start_ms if turn else 0, turn.end_ms if turn else 0)
        transcribes = self._words.is_due(item, config)
        heard_ms = (turn.start_ms, turn.end_ms)
        order = self._ordering.order(item, _to_16k(item.pcm), options, config, turn.clock, heard_ms, transcribes=transcribes)
        limits = self._take_place(now_s)
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not ahead.answers(order.question):
            ahead.drop()
            ahead = None
        self.last = Response(order, self._parts, self._facts, self._conversation, self._emit, self._now, ahead)
        self.last.begin()
        self._emit(limits)
        self._task = asyncio.create_task(self.last.run())

    def interrupt(self, reason: str, config: SessionConfig) -> None:
        """The reply ends here; of what the user has not heard of it, nothing is kept."""
        response = self.last
        if response is None:
            return
        played = response.spoken.played(self._now())
        cut = response.order.speaks and (played < response.spoken.samples or not response.ended)
        if not response.ended:
            response.end("cancelled", reason=reason)
            if self._task is not None:
                self._task.cancel()
            if response.order.transcribes and not response.transcribed:
                self._words.begin(response.order.item, config, answered=False, begun=True)
        if cut and self._conversation.holds(response.item.id):
            response.item.truncate(played)
            self._emit(ItemTruncated(item_id=response.item.id, audio_end_ms=milliseconds(played)))

    async def close(self) -> None:
        """Make no more."""
        self.drop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _take_place(self, now_s: float) -> RateLimits:
        """What is left of the replies of this minute. Raises ProtocolError when nothing is."""
        most = self._asked_s.maxlen or 1
        while self._asked_s and now_s - self._asked_s[0] >= _MINUTE_S:
            self._asked_s.popleft()
        if len(self._asked_s) >= most:
            again_s = _MINUTE_S - (now_s - self._asked_s[0])
            message = f"{most} replies were asked for within a minute (max_responses_per_minute): ask again in {again_s:.0f} s"
            raise ProtocolError(message, code="rate_limit_exceeded")
        self._asked_s.append(now_s)
        reset_s = round(_MINUTE_S - (now_s - self._asked_s[0]), 3)
        told = {"name": "requests", "limit": most, "remaining": most - len(self._asked_s), "reset_seconds": reset_s}
        return RateLimits(rate_limits=[told])


def _to_16k(pcm: bytes | bytearray) -> np.ndarray:
    return resample(from_pcm16(bytes(pcm)), RATE_HZ, SAMPLE_RATE_HZ)
