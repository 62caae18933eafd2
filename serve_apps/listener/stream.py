"""The WebSocket between a client and its session."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from rapport.core.pose import ROTATIONS
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.listener.messages import Ack, Start, close_code, error_message, read_message, read_start
from rapport.serve_apps.listener.pool import SessionPool
from rapport.serve_apps.listener.sessions import Session

logger = logging.getLogger("ray.serve")

SUBPROTOCOL = "rapport"
"""What a browser names beside its key: of the subprotocols that it offers it wants one back, and the key is not to be told."""

_GOODBYE_S = 1.0  # a client that does not read is not waited for


async def serve_stream(socket: WebSocket, pool: SessionPool, model_id: str) -> None:
    """Talk to one client until either side ends it. Every error is told before the connection closes."""
    await socket.accept(subprotocol=_chosen(socket))
    try:
        with pool.place():
            start = await _started(socket, pool)
            session = await pool.open(start)
            try:
                await socket.send_json(_welcome(session, model_id))
                await _talk(socket, pool, session)
            finally:
                pool.close(session)
        await _close(socket, 1000)
    except WebSocketDisconnect:
        return
    except Exception as error:
        if not isinstance(error, ApiError):
            logger.exception("unforeseen error in a stream")
            error = ApiError(500, "an error of the server, not of your request")
        await _close(socket, close_code(error), error_message(error))


async def refuse_stream(socket: WebSocket, error: ApiError) -> None:
    """Tell a client why it cannot stream at all."""
    await socket.accept(subprotocol=_chosen(socket))
    await _close(socket, close_code(error), error_message(error))


def _chosen(socket: WebSocket) -> str | None:
    return SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None


async def _started(socket: WebSocket, pool: SessionPool) -> Start:
    wanted = 'wanted {"type": "start"} as the first message'
    try:
        message = await asyncio.wait_for(_receive(socket, pool), pool.settings.gone_after_s)
    except TimeoutError as error:
        raise ApiError(408, f"nothing came for {pool.settings.gone_after_s:g} s (gone_after_s): {wanted}") from error
    if isinstance(message, bytes):
        raise ApiError(400, f"audio came first: {wanted}", code="invalid_message")
    return read_start(message)


async def _talk(socket: WebSocket, pool: SessionPool, session: Session) -> None:
    """Until the client has gone, the motion is at its end, or something is wrong."""
    tasks = [asyncio.ensure_future(work) for work in (_listen(socket, pool, session), _tell(socket, session), _ended(session))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(socket: WebSocket, pool: SessionPool, session: Session) -> None:
    while True:
        message = await _receive(socket, pool)
        if isinstance(message, bytes):
            session.hear(message, pool.clock())
        elif isinstance(told := read_message(message), Ack):
            session.acknowledge(told.time_s, pool.clock())
        else:
            session.wish(told.type, pool.clock())
        pool.hurry()


async def _tell(socket: WebSocket, session: Session) -> None:
    async for message in session.messages():
        await socket.send_json(message)


async def _ended(session: Session) -> None:
    await asyncio.shield(session.ended)


async def _receive(socket: WebSocket, pool: SessionPool) -> bytes | str:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    content: bytes | str = message["bytes"] if message.get("bytes") is not None else message.get("text") or ""
    if len(content) > pool.settings.max_message_mib * 2**20:
        raise ApiError(413, f"a message of {len(content):,} bytes: the limit is {pool.settings.max_message_mib:g} MiB (max_message_mib)")
    return content


def _welcome(session: Session, model_id: str) -> dict[str, Any]:
    mover = session.mover
    return {
        "type": "started",
        "model": model_id,
        "sample_rate_hz": mover.sample_rate_hz,
        "rate_hz": mover.poses_at.rate_hz,
        "rotations": list(ROTATIONS),
        "seed": mover.seed,
        "latency_s": round(mover.latency_s, 6),
        "samples": mover.samples,
        "time_s": round(mover.time_s, 6),
    }


async def _close(socket: WebSocket, code: int, message: dict[str, Any] | None = None) -> None:
    async def say() -> None:
        if message is not None:
            await socket.send_json(message)
        await socket.close(code)

    # The connection may be gone, or stuffed: then there is nobody to tell.
    with suppress(TimeoutError, RuntimeError, WebSocketDisconnect, OSError):
        await asyncio.wait_for(say(), _GOODBYE_S)
