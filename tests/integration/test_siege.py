"""A companion whose copies are killed, one a second for a minute, while four clients ask: make faults ARGS="-k siege"

Every request is tried again for a while, as a client would. Takes about two minutes; more where starting a copy takes long.
"""

import asyncio
import base64
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from rapport.core.audio import encode_wav
from rapport.ray_jobs.serve_app import deploy
from rapport.serve_apps.companion import OFF, Args, ConversationPart, DialoguePart, EmotionPart, HeadMotionPart, VoicePart
from rapport.serve_apps.http.settings import Replicas
from tests.conftest import save_small_emosds

SIEGE_S, PATIENCE_S = 60.0, 45.0
TWO = Replicas(min_replicas=2, max_replicas=2, num_cpus=0.1)

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def url(ray_cluster: dict[str, float], ser_model: Path, listener_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dialogue = save_small_emosds(tmp_path_factory.mktemp("models") / "talkative", seed=8)
    args = Args(
        emotion=EmotionPart(model=str(ser_model), device="cpu", replicas=TWO),
        dialogue=DialoguePart(model=str(dialogue), device="cpu", replicas=TWO),
        voice=VoicePart(replicas=2),
        head_motion=HeadMotionPart(model=str(listener_model), replicas=TWO),
        conversations=ConversationPart(model=OFF),
        front_replicas=2,
    )
    yield deploy("companion", args, port=port, log_level="ERROR").url
    serve.shutdown()


@dataclass
class Client:
    """Asks again and again, and counts."""

    ask: Callable[[], Awaitable[Any]]
    """Raises what a client would try again after."""
    right: Any = None
    """What was answered before the siege."""
    good: int = 0
    given_up: list[str] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)

    async def work(self, over: asyncio.Event) -> None:
        while not over.is_set():
            end_s, pause_s, problem = time.monotonic() + PATIENCE_S, 0.1, ""
            while time.monotonic() < end_s:
                try:
                    answer = await asyncio.wait_for(self.ask(), 20)
                except (httpx.HTTPError, OSError, TimeoutError, WebSocketException, Again) as error:
                    problem = f"{type(error).__name__}: {error}"
                    await asyncio.sleep(pause_s)
                    pause_s = min(2.0, 2 * pause_s)
                else:
                    self.good += 1
                    if answer != self.right:
                        self.wrong.append(answer)
                    break
            else:
                self.given_up.append(problem)


class Again(Exception):
    """Not now."""


def test_a_siege(url: str, voice: Callable[..., np.ndarray]) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            clients = [Client(_uploads(http, voice(1.5, seed))) for seed in range(2)] + [
                Client(_talks(url, voice(1.2, 2 + n))) for n in range(2)
            ]
            for client in clients:
                client.right = await client.ask()
            over = asyncio.Event()
            work = [asyncio.create_task(client.work(over)) for client in clients]
            killed = await _besiege()
            began_s = time.monotonic()
            await _ready(http)
            ready_s = time.monotonic() - began_s
            over.set()
            await asyncio.gather(*work)
        good, given_up = sum(client.good for client in clients), [problem for client in clients for problem in client.given_up]
        print(f"{killed} copies killed, {good} answers, {len(given_up)} given up, ready {ready_s:.1f} s after the last: {given_up[:5]}")
        assert killed >= SIEGE_S / 2
        assert not [client.wrong[0] for client in clients if client.wrong]
        assert all(client.good for client in clients)
        assert good >= 0.99 * (good + len(given_up))

    asyncio.run(main())


def _uploads(http: httpx.AsyncClient, samples: np.ndarray) -> Callable[[], Awaitable[Any]]:
    recording = encode_wav(samples)

    async def ask() -> Any:
        response = await http.post("/v1/audio/emotions", files={"file": ("clip.wav", recording)}, data={"timeline": "false"})
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise Again(response.text[:200])
        return {name: round(score, 3) for name, score in response.raise_for_status().json()["scores"].items()}

    return ask


def _talks(url: str, samples: np.ndarray) -> Callable[[], Awaitable[Any]]:
    pcm = (np.repeat(samples, 3)[::2] * 32767).astype("<i2").tobytes()  # 16 to 24 kHz, roughly: it need not sound well
    manual = {"type": "realtime", "output_modalities": ["text"], "x_head_motion": None, "audio": {"input": {"turn_detection": None}}}

    async def ask() -> Any:
        async with _session(url) as (say, events):
            await say("session.update", session=manual)
            await say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())
            await say("input_audio_buffer.commit")
            await say("response.create")
            async for event in events:
                if event["type"] == "error":
                    raise Again(event["error"]["message"])
                if event["type"] == "response.done":
                    if event["response"]["status"] not in ("completed", "incomplete"):
                        raise Again(str(event["response"]["status_details"]))
                    return event["response"]["output"][0]["content"]
        raise Again("the session ended")

    return ask


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[tuple[Callable[..., Awaitable[None]], AsyncIterator[dict[str, Any]]]]:
    async with connect(f"{url.replace('http', 'ws')}/v1/realtime") as socket:

        async def say(kind: str, **fields: Any) -> None:
            await socket.send(json.dumps({"type": kind, **fields}))

        async def events() -> AsyncIterator[dict[str, Any]]:
            async for text in socket:
                yield json.loads(text)

        yield say, events()


async def _besiege() -> int:
    """Kill one copy of any part a second. How many were killed."""
    import ray
    from ray.util import list_named_actors

    draw, killed, end_s = random.Random(3), 0, time.monotonic() + SIEGE_S
    while time.monotonic() < end_s:
        names = sorted(actor["name"] for actor in list_named_actors(all_namespaces=True) if "companion#" in actor["name"])
        if names:
            try:
                ray.kill(ray.get_actor(draw.choice(names), namespace="serve"))
                killed += 1
            except ValueError:  # it had just gone
                pass
        await asyncio.sleep(1.0)
    return killed


async def _ready(http: httpx.AsyncClient) -> None:
    """Once every part answers, three times in a row."""
    good, end_s = 0, time.monotonic() + 300
    while good < 3 and time.monotonic() < end_s:
        try:
            good = good + 1 if (await http.get("/healthz")).is_success else 0
        except httpx.HTTPError:
            good = 0
        await asyncio.sleep(0.2)
    assert good == 3, "it never came back"
