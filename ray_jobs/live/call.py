"""A conversation with a served companion over its WebSocket: sound of a source in, and what becomes known out, event by event."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, to_pcm16
from rapport.core.errors import RapportError
from rapport.ray_jobs.live.sources import Source

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

RATE_HZ = 24_000
"""Of the protocol, both ways."""

_PAUSE_S = 1.2  # ends the last turn of a recording
_PIECE_S = 0.1
_QUEUED = 100  # blocks of a source between its thread and the connection
_END = object()


@dataclass(slots=True)
class Exchange:
    """What a user said and what was replied."""

    said: str = ""
    emotion: str | None = None
    reply: str = ""
    reply_emotion: str | None = None
    status: str = ""
    """How the reply ended."""
    first_audio_byte_ms: float | None = None
    """From the end of speech."""


class Call:
    """A conversation. `tell` is called with each event that a person may want to see."""

    def __init__(self, url: str, key: str, voice: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self._address = url.replace("http", "ws", 1).rstrip("/") + "/v1/realtime"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._voice, self._tell = voice, tell
        self.exchanges: list[Exchange] = []
        self.poses = 0
        self.errors: list[str] = []
        self.sound = bytearray()
        """All replies, one after the other."""
        self._said: dict[str, str] = {}
        self._open_turns = 0
        self._answers = True  # whether the server has a dialogue model
        self._quiet = asyncio.Event()

    def result(self) -> dict[str, Any]:
        """What the conversation amounts to."""
        return {"exchanges": [asdict(exchange) for exchange in self.exchanges], "poses": self.poses, "errors": self.errors}

    async def talk(self, source: Source, seconds: float | None, patience_s: float) -> None:
        """Until the source ends and is answered. Raises RapportError when the server cannot be reached, refuses, or hangs up."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        try:
            async with connect(self._address, additional_headers=self._headers, max_size=2**24) as connection:
                hearing = asyncio.create_task(self._hear(connection))
                try:
                    await self._speak(connection, source, seconds, hearing)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._answered(), patience_s)
                finally:
                    hearing.cancel()
                    await asyncio.wait([hearing])
        except InvalidStatus as error:
            status = error.response.status_code
            wanted = "set RAPPORT_API_KEY to the key of that server" if status == 401 else "is a companion served there?"
            raise RapportError(f"{self._address} answers {status}: {wanted}") from error
        except (OSError, WebSocketException) as error:
            raise RapportError(f"{self._address} cannot be reached or has hung up ({error}): start one with `make serve`") from error

    async def _speak(self, connection: "ClientConnection", source: Source, seconds: float | None, hearing: asyncio.Task[None]) -> None:
        import soxr

        await connection.send(json.dumps({"type": "session.update", "session": {"audio": {"output": {"voice": self._voice}}}}))
        stream = soxr.ResampleStream(SAMPLE_RATE_HZ, RATE_HZ, 1, dtype="float32")
        blocks = _blocks(source)
        heard_s = 0.0
        while (block := await blocks.get()) is not _END and not hearing.done():
            if isinstance(block, Exception):
                raise block
            heard_s += len(block) / SAMPLE_RATE_HZ
            await _append(connection, stream.resample_chunk(block))
            if seconds is not None and heard_s >= seconds:
                break
        for _ in range(round(_PAUSE_S / _PIECE_S)):
            await _append(connection, np.zeros(round(_PIECE_S * RATE_HZ), np.float32))
            await asyncio.sleep(_PIECE_S)

    async def _answered(self) -> None:
        while self._open_turns > 0:
            self._quiet.clear()
            await self._quiet.wait()

    async def _hear(self, connection: "ClientConnection") -> None:
        async for text in connection:
            event = json.loads(text)
            self._take(event)
            self._quiet.set()

    def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.created":
                self._answers = event["session"]["x_parts"]["dialogue"]
            case "input_audio_buffer.speech_started":
                self._open_turns += 1
            case "conversation.item.input_audio_transcription.completed":
                self._said[event["item_id"]] = event["transcript"]
                self._open_turns -= 0 if self._answers else 1
            case "conversation.item.input_audio_transcription.delta" | "session.updated" | "x_emotion.delta":
                pass
            case "x_head_motion.delta":
                self.poses += len(event["frames"])
            case "response.output_audio.delta":
                self.sound += base64.b64decode(event["delta"])
                return
            case "response.done":
                self._conclude(event["response"])
            case "error":
                self.errors.append(event["error"]["message"])
            case _:
                return
        self._tell(event)

    def _conclude(self, response: dict[str, Any]) -> None:
        self._open_turns -= 1
        metadata, output = response["metadata"] or {}, response["output"]
        exchange = Exchange(
            said=list(self._said.values())[-1] if self._said else "",
            emotion=metadata.get("x_emotion_user"),
            reply=(output[0]["content"][0].get("transcript") or "") if output else "",
            reply_emotion=metadata.get("x_emotion_reply"),
            status=response["status"],
            first_audio_byte_ms=response["x_latency_ms"].get("first_audio_byte"),
        )
        self.exchanges.append(exchange)


def _blocks(source: Source) -> "asyncio.Queue[Any]":
    """The blocks of a source, which has a thread of its own, as they come; an error of it is the last but one."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Any] = asyncio.Queue(_QUEUED)

    def put(item: Any) -> None:
        asyncio.run_coroutine_threadsafe(arrived.put(item), loop).result()

    def read() -> None:
        # The loop may be over before the source is.
        with suppress(RuntimeError, asyncio.CancelledError):
            try:
                for block in source.blocks():
                    put(block)
            except RapportError as error:
                put(error)
            put(_END)

    threading.Thread(target=read, name="source", daemon=True).start()
    return arrived


async def _append(connection: "ClientConnection", samples: np.ndarray) -> None:
    data = base64.b64encode(to_pcm16(samples).astype("<i2").tobytes()).decode()
    await connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": data}))


class Lines:
    """Tells events as lines for people."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._began_s = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "x_emotion.delta" if not event["final"]:
                self._line(f"   {event['emotion']} {event['scores'][event['emotion']]:.0%}")
            case "conversation.item.input_audio_transcription.completed":
                self._line(f"you: {event['transcript']}")
            case "response.done":
                self._line(_replied(event["response"]))
            case "error":
                self._line(f"!! {event['error']['message']}")

    def _line(self, text: str) -> None:
        self._write(f"{time.monotonic() - self._began_s:7.2f} s  {text}")


def _replied(response: dict[str, Any]) -> str:
    words = response["output"][0]["content"][0].get("transcript") if response["output"] else None
    metadata, waited = response["metadata"] or {}, response["x_latency_ms"].get("first_audio_byte")
    emotions = f"you sound {metadata.get('x_emotion_user', 'like nothing')}, the reply {metadata.get('x_emotion_reply', 'like nothing')}"
    after = f", heard after {waited:.0f} ms" if waited is not None else ""
    return f"reply: {words or '(nothing)'}   [{emotions}; {response['status']}{after}]"
