"""The WebSocket of a client that hangs: as Serve has it, where sending never waits, and with a clock that the test turns."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.websockets import WebSocket

from rapport.serve_apps.listener.pool import SessionPool
from rapport.serve_apps.listener.settings import StreamSettings
from rapport.serve_apps.listener.stream import serve_stream


class Line:
    """A client's connection to a pool. Nothing that is sent to the client is read, and nothing that is sent waits."""

    def __init__(self, pool: SessionPool) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: list[dict[str, Any]] = []
        scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": []}
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.served = asyncio.ensure_future(serve_stream(WebSocket(scope, self.incoming.get, self._send), pool, "listener"))

    async def _send(self, message: Any) -> None:
        self.outgoing.append(message)

    def say(self, content: str | bytes) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text" if isinstance(content, str) else "bytes": content})

    @property
    def sent_bytes(self) -> int:
        return sum(len(message.get("text", "")) for message in self.outgoing)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(message["text"]) for message in self.outgoing if message.get("text")]


async def until(check: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not check():
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), 120)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def run(model, test: Callable[[SessionPool, Clock, Line], Awaitable[None]], **settings: Any) -> None:
    async def go() -> None:
        clock = Clock()
        pool = SessionPool(model, StreamSettings(tick_s=0, **settings), clock)
        line = Line(pool)
        line.say('{"type": "start"}')
        await until(lambda: len(line.outgoing) >= 2)
        assert line.messages[0]["type"] == "started"
        await test(pool, clock, line)

    asyncio.run(go())


@pytest.mark.parametrize("acknowledges", [False, True])
def test_what_is_sent_to_a_client_that_reads_nothing_does_not_grow(motion_model, pcm, acknowledges: bool) -> None:
    sound = pcm(0.1)

    async def test(pool: SessionPool, clock: Clock, line: Line) -> None:
        if acknowledges:
            line.say('{"type": "ack", "time_s": 0}')
        sizes = []
        for step in range(300):
            line.say(sound)
            line.say('{"type": "ping"}')
            line.say('{"type": "state"}')
            clock.now_s += 0.1
            await until(lambda: line.incoming.empty() or line.served.done())
            await asyncio.sleep(0.002)
            if step >= 150:
                sizes.append(line.sent_bytes)
        if acknowledges:
            assert max(sizes) == min(sizes), "nothing more is sent"
            assert pool.taken == 1, "and the client may come back"
        else:
            await until(line.served.done)
            assert line.messages[-1]["error"]["code"] == "request_timeout"
            assert pool.taken == 0
        kinds = [message["type"] for message in line.messages]
        assert kinds.count("state") <= 1
        assert sum(len(message.get("frames", ())) for message in line.messages) < 80
        line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await line.served

    run(motion_model, test)


@pytest.mark.parametrize("has_talked", [False, True])
def test_the_place_of_a_client_that_hangs_is_free_within_five_seconds(motion_model, pcm, has_talked: bool) -> None:
    async def test(pool: SessionPool, clock: Clock, line: Line) -> None:
        if has_talked:
            line.say(pcm(0.5))
            await until(lambda: len(line.outgoing) >= 3)
        clock.now_s += 3.9
        await asyncio.sleep(0.2)
        assert pool.taken == 1, "a moment of silence does no harm"
        clock.now_s += 1.0
        await until(line.served.done)
        assert pool.taken == 0
        assert not pool._sessions

    run(motion_model, test)


def test_the_place_of_a_client_whose_connection_breaks_is_free_at_once(motion_model, pcm) -> None:
    async def test(pool: SessionPool, clock: Clock, line: Line) -> None:
        line.say(pcm(0.5))
        line.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await until(line.served.done)
        assert pool.taken == 0
        with pool.place():
            pass

    run(motion_model, test, max_sessions=1)


def test_a_client_that_pauses_and_pings_keeps_its_place(motion_model) -> None:
    async def test(pool: SessionPool, clock: Clock, line: Line) -> None:
        for _ in range(10):
            line.say('{"type": "ping"}')
            await until(line.incoming.empty)
            clock.now_s += 3
            await asyncio.sleep(0.05)
        assert pool.taken == 1
        line.say('{"type": "finish"}')
        await line.served
        assert line.messages[-1]["type"] == "finished"

    run(motion_model, test)
