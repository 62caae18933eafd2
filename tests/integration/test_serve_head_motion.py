"""The head motion app on a real Ray Serve, reached over WebSockets as clients do: many, slow, silent and vanishing ones."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rapport.core.audio import encode_wav, from_pcm16
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import from_pretrained
from rapport.ray_jobs.serve_app import deploy
from rapport.serve_apps.head_motion import Args
from rapport.serve_apps.listener.settings import MotionSettings, StreamSettings

STREAM = "/v1/audio/head-motion/stream"
PLACES = 60
FREED_WITHIN_S = 5.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def url(ray_cluster: dict[str, float], listener_model: Path) -> Iterator[str]:
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Tests send as fast as they can, and a busy computer computes as late as it likes: neither is to count as loss here.
    stream = StreamSettings(max_sessions=PLACES, max_waiting_s=30, max_unread_s=30, lost_after_s=3)
    yield deploy("head_motion", Args(model=str(listener_model), endpoints=MotionSettings(stream=stream)), port=port, log_level="ERROR").url
    serve.shutdown()


@pytest.fixture(scope="module")
def model(listener_model: Path) -> HeadMotionModel:
    return from_pretrained(listener_model)


def pcm(seconds: float, seed: int = 0) -> bytes:
    draw = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * draw.uniform(0.5, 2) * time_s)
    return np.rint(8_000 * loud * draw.normal(0, 0.5, len(time_s)).clip(-2, 2)).astype("<i2").tobytes()


def opened(url: str) -> connect:
    return connect(url.replace("http", "ws") + STREAM, max_size=2**24, open_timeout=60, ping_timeout=None)


async def begin(client: ClientConnection, **start: Any) -> dict[str, Any]:
    await client.send(json.dumps({"type": "start", **start}))
    return json.loads(await client.recv())


async def until(client: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """All messages up to one of this kind, read and acknowledged."""
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] not in (kind, "error"):
        messages.append(json.loads(await client.recv()))
        if messages[-1]["type"] == "poses":
            # The end may have come meanwhile.
            with contextlib.suppress(ConnectionClosed):
                await client.send(json.dumps({"type": "ack", "time_s": messages[-1]["frames"][-1]["time_s"]}))
    return messages


def angles(messages: list[dict[str, Any]]) -> np.ndarray:
    return np.array([list(frame.values()) for m in messages for frame in m.get("frames", ())]).reshape(-1, 4)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if await check():
            return True
        await asyncio.sleep(0.2)
    return False


def test_any_cutting_gives_the_motion_of_the_recording(url: str, model: HeadMotionModel) -> None:
    async def one(size: int, seconds: float) -> None:
        data = pcm(seconds, size)
        async with opened(url) as client:
            await begin(client)
            for start in range(0, len(data), size):
                await client.send(data[start : start + size])
            await client.send('{"type": "finish"}')
            messages = await until(client, "finished")
        assert messages[-1]["samples"] == len(data) // 2
        assert messages[-1]["dropped_s"] == messages[-1]["missed_s"] == 0
        assert np.abs(angles(messages)[:, 1:] - model.predict(from_pcm16(data))).max() < 1e-5

    async def test() -> None:
        await one(2, 0.06)  # a sample at a time
        await asyncio.gather(*(one(size, 2.0) for size in (333, 640, 1_066, 3_201, 64_000)))

    run(test())


def test_a_stream_and_an_upload_agree(url: str, model: HeadMotionModel) -> None:
    samples = from_pcm16(pcm(3.0, 1))
    answer = httpx.post(f"{url}/v1/audio/head-motion", files={"file": encode_wav(samples)}, data={"seed": 3}, timeout=60).json()
    assert np.abs(angles([answer])[:, 1:] - model.predict(samples, seed=3)).max() < 1e-5


def test_a_broken_connection_goes_on_with_its_token(url: str, model: HeadMotionModel) -> None:
    data = pcm(2.0, 2)

    async def test() -> None:
        async with opened(url) as client:
            await begin(client, seed=5)
            await client.send(data[:32_000])
            await client.send('{"type": "state"}')
            first = await until(client, "state")
            client.transport.abort()
        async with opened(url) as client:
            await begin(client, token=first[-1]["token"])
            await client.send(data[2 * first[-1]["samples"] :])
            await client.send('{"type": "finish"}')
            rest = await until(client, "finished")
        found = np.concatenate([angles(first), angles(rest)])
        assert np.abs(found[:, 1:] - model.predict(from_pcm16(data), seed=5)).max() < 1e-5

    run(test())


def test_of_fifty_clients_half_vanish_and_the_others_do_not_notice(url: str, model: HeadMotionModel) -> None:
    data = pcm(4.0, 3)
    expected = model.predict(from_pcm16(data))

    async def talk(number: int) -> None:
        client = await opened(url)
        await begin(client)
        for start in range(0, len(data), 3_200):
            await client.send(data[start : start + 3_200])
            await asyncio.sleep(0.1)
            if number % 2 and start > len(data) // 3:
                client.transport.abort()  # as a process that is killed: no farewell
                return
        await client.send('{"type": "finish"}')
        messages = await until(client, "finished")
        assert np.abs(angles(messages)[:, 1:] - expected).max() < 1e-5
        await client.close()

    async def test() -> None:
        await asyncio.gather(*(talk(number) for number in range(50)))

    run(test())


@pytest.mark.parametrize("way", ["reset", "hang"])
def test_the_places_of_clients_that_vanish_are_free_within_five_seconds(url: str, way: str) -> None:
    async def test() -> None:
        clients: list[ClientConnection] = []
        talking = asyncio.create_task(talk_on(clients))
        for _ in range(PLACES):
            client = await opened(url)
            assert (await begin(client))["type"] == "started"
            clients.append(client)
        talking.cancel()
        for client in clients:
            # As a process that is killed, or a computer that sleeps: no farewell, and of the latter no sign at all.
            client.transport.abort() if way == "reset" else client.transport.pause_reading()
        try:
            assert await eventually(all_places_are_free, FREED_WITHIN_S)
        finally:
            for client in clients:
                client.transport.abort()

    async def talk_on(clients: list[ClientConnection]) -> None:
        while True:
            for client in clients:
                await client.send('{"type": "ping"}')
            await asyncio.sleep(0.5)

    async def all_places_are_free() -> bool:
        async with contextlib.AsyncExitStack() as stack:
            late = [await stack.enter_async_context(opened(url)) for _ in range(PLACES)]
            with contextlib.suppress(ConnectionClosed):  # one that was refused
                return all([(await begin(client))["type"] == "started" for client in late])
        return False

    run(test())


def test_one_client_too_many_is_told_when_to_come_back(url: str) -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(PLACES):
                await begin(await stack.enter_async_context(opened(url)))
            late = await stack.enter_async_context(opened(url))
            refusal = json.loads(await late.recv())
            assert refusal["error"]["type"] == "rate_limit_error"
            assert refusal["retry_after_s"] >= 1
            with pytest.raises(ConnectionClosed) as closed:
                await late.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
            assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200, "a full server is not a sick one"

    run(test())


def test_who_says_nothing_loses_the_place(url: str) -> None:
    async def test() -> None:
        async with opened(url) as client:
            await begin(client)
            began_s = time.monotonic()
            (message,) = await until(client, "error")
            assert message["error"]["code"] == "request_timeout"
            assert time.monotonic() - began_s < FREED_WITHIN_S

    run(test())


def test_silence_and_a_client_that_does_not_read_leave_memory_as_it_was(url: str) -> None:
    async def test() -> None:
        async with opened(url) as silent, opened(url) as deaf:
            await begin(silent)
            await begin(deaf)
            await deaf.send('{"type": "ack", "time_s": 0}')
            reading = asyncio.create_task(until(silent, "finished"))
            before_mib = 0.0
            # Ten minutes of sound, a good deal quicker than it was spoken.
            for second in range(600):
                await silent.send(bytes(32_000))
                await deaf.send(pcm(1.0, second % 7))
                await asyncio.sleep(0.03)
                if second == 60:
                    before_mib = serving_memory_mib()
            await silent.send('{"type": "finish"}')
            silence = await reading
            assert serving_memory_mib() - before_mib < 60
            told = angles(silence)
            assert np.isfinite(told).all()
            assert (np.diff(told[:, 0]) > 0).all()
            # But for the end, where the model hears that the recording is over.
            assert np.abs(told[600:-10, 1:] - told[599, 1:]).max() < 0.1, "nothing moves a head to silence"
            waiting = 0
            with contextlib.suppress(TimeoutError):
                while True:
                    message = json.loads(await asyncio.wait_for(deaf.recv(), 1))
                    waiting += len(message.get("frames", ()))
            assert waiting < 70 * 30, "the rest was dropped on the server, and not kept on the way"

    run(test())


def test_page_and_reference_are_served(url: str) -> None:
    assert httpx.get(url).text.startswith("<!doctype html>")
    assert STREAM in httpx.get(f"{url}/openapi.json").json()["paths"]
    assert httpx.get(url + STREAM).status_code == 426
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["streams"]


def serving_memory_mib() -> float:
    """Memory of the proxies and replicas of this user's Ray."""
    found = (p for p in psutil.process_iter(["name", "memory_info"]) if p.info["memory_info"])
    return sum(p.info["memory_info"].rss for p in found if "ProxyActor" in p.info["name"] or "ServeReplica" in p.info["name"]) / 2**20
