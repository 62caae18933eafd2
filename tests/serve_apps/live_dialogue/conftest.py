"""The companion in this process: small models, a scripted dialogue, and calls of deployments without Serve."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.testclient import TestClient

from rapport.core.pose import PoseFrame
from rapport.serve_apps.conversation_emotion.answers import NoService as NoConversations
from rapport.serve_apps.listener.settings import MotionSettings, StreamSettings
from rapport.serve_apps.live_dialogue.api import build_api
from rapport.serve_apps.live_dialogue.graph import Present, Recordings, Services
from rapport.serve_apps.live_dialogue.heads import Head, Heads
from rapport.serve_apps.live_dialogue.settings import LiveSettings
from tests.serve_apps.conftest import InProcess as EmotionInProcess
from tests.serve_apps.spoken_dialogue.conftest import InProcess as DialogueInProcess
from tests.serve_apps.spoken_dialogue.conftest import ScriptedEngine

PATIENT = MotionSettings(stream=StreamSettings(max_waiting_s=30, max_unread_s=30, lost_after_s=3))


class Call:
    """A call of a deployment in this process: awaited, or gone through."""

    def __init__(self, work: Any) -> None:
        self._work = work

    def __await__(self) -> Any:
        return self._work.__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._work.__aiter__()

    def cancel(self) -> None:
        asyncio.ensure_future(self._work.aclose())  # noqa: RUF006  # ends with the loop of the test


class Handle:
    """The handle of a deployment whose one copy is in this process, and may be exchanged for another."""

    def __init__(self, copy: list[Any], method: str = "") -> None:
        self.copy, self._method = copy, method

    def options(self, **_: Any) -> "Handle":
        return self

    def __getattr__(self, method: str) -> "Handle":
        if method.startswith("_"):
            raise AttributeError(method)
        return Handle(self.copy, method)

    def remote(self, *arguments: Any) -> Call:
        return Call(getattr(self.copy[0], self._method)(*arguments))


class Hall(DialogueInProcess):
    """The scripted dialogue, which also tells what it was asked."""


def heads_of(model: Path, patch: pytest.MonkeyPatch) -> Callable[[], Heads]:
    """Makes copies of the deployment of heads in this process."""
    from rapport.serve_apps.listener import engine, meters

    patch.setattr(meters, "meter", lambda: None)
    # What a replica does to its own process.
    patch.setattr(engine.MotionEngine, "warm_up", lambda _: None)
    return lambda: Heads(str(model), PATIENT.model_dump(mode="json"))


def services_of(emotion: EmotionInProcess, dialogue: DialogueInProcess, heads: Heads) -> Services:
    """All parts but that for conversations, in this process."""
    handle: Any = Handle([heads])

    async def ask(method: str, *arguments: Any) -> list[PoseFrame]:
        found: list[PoseFrame] = await getattr(handle, method).remote(*arguments)
        return found

    async def open_head(rate_hz: float | None, seed: int | None) -> Head:
        return await Head.open(handle, rate_hz, seed)

    present = Present(conversations=False)
    return Services(emotion, dialogue, Recordings(ask), NoConversations(), open_head, present)


@contextmanager
def on_a_socket(services: Services, settings: LiveSettings | None = None, port: int = 0, **options: Any) -> Iterator[str]:
    """The companion of this process behind a real socket of this computer: its address."""
    api = build_api(services, settings or LiveSettings(), **options)
    # Without its own logging, whose set-up closes all handlers there are, and with TensorFlow's the stderr of the tests.
    config = uvicorn.Config(api, host="127.0.0.1", port=port, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def heads(listener_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Heads]:
    """Makes copies of the deployment of heads."""
    return heads_of(listener_model, monkeypatch)


@pytest.fixture
def services(service: EmotionInProcess, heads: Callable[[], Heads]) -> Services:
    """All parts but that for conversations."""
    return services_of(service, Hall(ScriptedEngine()), heads())


@pytest.fixture
def client_of() -> Callable[..., TestClient]:
    def make(services: Services, settings: LiveSettings | None = None, **options: Any) -> TestClient:
        return TestClient(build_api(services, settings or LiveSettings(), **options), base_url="http://127.0.0.1")

    return make


@pytest.fixture
def pcm24(voice: Callable[..., np.ndarray]) -> Callable[..., bytes]:
    """Something voiced, 24 kHz, with a pause behind it."""
    from rapport.core.audio import resample, to_pcm16

    def make(seconds: float = 1.0, pause_s: float = 0.0, seed: int = 0) -> bytes:
        samples = np.concatenate([voice(seconds, seed), np.zeros(round(pause_s * 16_000), np.float32)])
        return to_pcm16(resample(samples, 16_000, 24_000)).astype("<i2").tobytes()

    return make
