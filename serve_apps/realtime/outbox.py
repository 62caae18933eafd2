"""What waits to be sent to one client: in order, as text, and bounded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from rapport.serve_apps.realtime.server_events import ServerEvent

_SPARED = ("x_head_motion.delta", "x_emotion.delta")
"""What a client can do without: the next one says more than the last."""


class Overflow(Exception):
    """The client lets pile up more than may wait."""


class Outbox:
    """Events from a session to its client. Lives on one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._closed = False
        self.spared = 0
        """Events that were left out."""

    @property
    def waiting_bytes(self) -> int:
        """How much waits, in characters, of which nearly all are a byte."""
        return self._bytes

    def put(self, event: ServerEvent) -> None:
        """Send an event when its turn comes. Raises Overflow when too much waits."""
        if self._closed:
            return
        if self._bytes > self._max_bytes // 4 and getattr(event, "type", None) in _SPARED:
            self.spared += 1
            return
        text = event.model_dump_json()
        if self._bytes + len(text) > self._max_bytes:
            raise Overflow(f"{self._bytes:,} bytes wait to be read")
        self._waiting.append(text)
        self._bytes += len(text)
        self._news.set()

    def close(self) -> None:
        """Nothing follows."""
        self._closed = True
        self._news.set()

    async def texts(self) -> AsyncIterator[str]:
        """The events as they are to be sent, until the outbox is closed and empty."""
        while True:
            while self._waiting:
                text = self._waiting.popleft()
                self._bytes -= len(text)
                yield text
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
