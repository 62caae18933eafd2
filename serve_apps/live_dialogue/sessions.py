"""The WebSocket between a client and its realtime session."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from rapport.serve_apps.http.errors import ApiError, busy
from rapport.serve_apps.live_dialogue.graph import Graph
from rapport.serve_apps.realtime.meter import Meter
from rapport.serve_apps.realtime.server_events import Error, error_event
from rapport.serve_apps.realtime.session import RealtimeSession
from rapport.serve_apps.realtime.settings import RealtimeSettings

logger = logging.getLogger("ray.serve")

SUBPROTOCOLS = ("realtime", "rapport")
"""What a browser names beside its key: of the subprotocols that it offers it wants one back, and the key is not to be told."""

_TICK_S = 0.25
_GOODBYE_S = 1.0  # a client that does not read is not waited for
_CLOSE_CODES = {429: 1013, 500: 1011, 503: 1013}


class Places:
    """How many may talk at a time in this process."""

    def __init__(self, most: int, meter: Meter) -> None:
        self.most, self.meter = most, meter
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one client, while it is held. Raises ApiError (429) when all are taken."""
        if self.taken >= self.most:
            raise busy(f"{self.taken} sessions are under way, the limit is {self.most} (max_sessions)", 2.0)
        self.taken += 1
        self.meter.sessions(self.taken)
        try:
            yield
        finally:
            self.taken -= 1
            self.meter.sessions(self.taken)


async def serve_session(socket: WebSocket, graph: Graph, places: Places, settings: RealtimeSettings, model: str) -> None:
    """Talk to one client until either side ends it. Why the server does is told before the connection closes."""
    await accept(socket)
    try:
        with places.place():
            session = RealtimeSession(graph, await graph.facts.get(), settings, model=model, meter=places.meter)
            try:
                session.begin()
                await _talk(socket, session, places)
            finally:
                await session.close()
        await _close(socket, 1000 if session.ended is None else 1008)
    except WebSocketDisconnect:
        return
    except Exception as error:
        if not isinstance(error, ApiError):
            logger.exception("unforeseen error in a session")
            error = ApiError(500, "an error of the server, not of your request")
        await refuse(socket, error)


async def accept(socket: WebSocket) -> None:
    """Open the connection, by the first subprotocol that both know."""
    offered = socket.scope.get("subprotocols", ())
    await socket.accept(subprotocol=next((name for name in SUBPROTOCOLS if name in offered), None))


async def refuse(socket: WebSocket, error: ApiError) -> None:
    """Tell a client on an open connection why it ends."""
    kind = "invalid_request_error" if error.status < 500 and error.status != 429 else "server_error"
    told = error_event(error.message, code=error.code or "error", kind=kind, param=error.param)
    await _close(socket, _CLOSE_CODES.get(error.status, 1008), told)


async def _talk(socket: WebSocket, session: RealtimeSession, places: Places) -> None:
    """Until the client has gone, or the session is over and told."""
    tasks = [asyncio.ensure_future(work) for work in (_listen(socket, session), _tell(socket, session), _tick(session, places))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _listen(socket: WebSocket, session: RealtimeSession) -> None:
    longest = session.settings.max_message_mib * 2**20
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        text = message.get("text")
        if text is None:
            session.tell_error("events are JSON in text messages: send audio as base64 in input_audio_buffer.append", "invalid_event")
        elif len(text) > longest:
            limit = f"the limit is {session.settings.max_message_mib:g} MiB (max_message_mib)"
            session.tell_error(f"a message of {len(text):,} characters: {limit}", "message_too_large")
        else:
            session.receive(text)
        await asyncio.sleep(0)  # who sends without a pause leaves room for others all the same


async def _tell(socket: WebSocket, session: RealtimeSession) -> None:
    async for text in session.texts():
        await socket.send_text(text)


async def _tick(session: RealtimeSession, places: Places) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        session.tick()
        places.meter.sessions(places.taken)  # Ray forgets a gauge that is not set again


async def _close(socket: WebSocket, code: int, told: Error | None = None) -> None:
    async def say() -> None:
        if told is not None:
            await socket.send_text(told.model_dump_json())
        await socket.close(code)

    # The connection may be gone, or stuffed: then there is nobody to tell.
    with suppress(TimeoutError, RuntimeError, WebSocketDisconnect, OSError):
        await asyncio.wait_for(say(), _GOODBYE_S)
