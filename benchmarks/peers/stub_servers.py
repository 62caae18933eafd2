"""The servers that benchmarks/companion.py measures, one a process, with stubs for models.

python benchmarks/peers/stub_servers.py bare --port 8701         # FastAPI alone
python benchmarks/peers/stub_servers.py alone --port 8702        # the companion's interface on uvicorn
python benchmarks/peers/stub_servers.py ours --port 8703         # the companion on Ray Serve, at /after without answers
#                                                                  ahead, and a raw ingress at /raw
"""

import argparse
import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

SCORES = {"neutral": 0.5, "sad": 0.5}


class StubEmotion:
    """Knows the emotion at once."""

    async def analyse(self, samples: np.ndarray, window_s: float | None, hop_s: float | None) -> Any:
        from rapport.serve_apps.speech_emotion.answers import Analysis

        return Analysis(SCORES, [])

    async def transcribe(self, samples: np.ndarray) -> str:
        return "hello"

    async def facts(self) -> Any:
        from rapport.serve_apps.speech_emotion.answers import ModelFacts

        return ModelFacts(tuple(SCORES), 3.0, 0)


class StubDialogue:
    """Answers with one sentence."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    async def facts(self) -> Any:
        from rapport.models.emosds.dialogue import EngineFacts
        from rapport.serve_apps.spoken_dialogue.answers import ModelFacts

        return ModelFacts(EngineFacts(tuple(SCORES), True, "stub", 1), 0)

    async def stream(self, question: Any) -> AsyncGenerator[Any]:
        from rapport.models.emosds.answer import Answer, Piece
        from rapport.models.emosds.dialogue import Reply

        await asyncio.sleep(self._wait_s)
        for piece in (("user_emotion", "sad"), ("transcript", "hello "), ("reply_emotion", "neutral"), ("reply", "Good morning. ")):
            yield Piece(*piece)
        yield Reply(Answer("sad", "hello", "neutral", "Good morning."), True, 8, 8)


class StubVoice:
    """Speaks a second of sound."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    async def speak(self, order: Any) -> bytes:
        await asyncio.sleep(self._wait_s)
        return b"\x10\x10" * 24_000

    async def voices(self) -> list[str]:
        return ["alloy"]


def serve_bare(port: int) -> None:
    """The shortest competent server."""
    import uvicorn
    from fastapi import FastAPI, UploadFile

    from rapport.core.audio import load_speech

    app, model = FastAPI(), StubEmotion()

    @app.post("/emotions")
    async def emotions(file: UploadFile) -> dict[str, Any]:
        speech = await asyncio.to_thread(load_speech, await file.read())
        return {"scores": (await model.analyse(speech.samples, None, None)).scores, "duration_s": speech.duration_s}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def serve_alone(port: int) -> None:
    """The companion's interface without Serve."""
    from dataclasses import replace

    import uvicorn

    from rapport.serve_apps.live_dialogue.api import build_api
    from rapport.serve_apps.live_dialogue.graph import Present
    from rapport.serve_apps.live_dialogue.nothing import no_services
    from rapport.serve_apps.live_dialogue.settings import LiveSettings

    services = replace(no_services(), emotion=StubEmotion(), present=Present(*[True, *[False] * 5]))
    uvicorn.run(build_api(services, LiveSettings()), host="127.0.0.1", port=port, log_level="warning", access_log=False)


def serve_on_ray(port: int, answer_s: float, voice_s: float) -> None:
    """The companion, and a raw ingress with one deployment behind it, side by side on one Serve."""
    from fastapi import FastAPI, UploadFile
    from ray import serve

    from rapport.core.audio import load_speech
    from rapport.ray_jobs.runtime import start_ray
    from rapport.serve_apps.live_dialogue.deployments import Companion
    from rapport.serve_apps.live_dialogue.settings import LiveSettings
    from rapport.serve_apps.realtime.settings import RealtimeSettings

    app = FastAPI()

    @serve.deployment(max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.1})
    @serve.ingress(app)
    class Raw:
        def __init__(self, model: Any) -> None:
            self.model = model

        @app.post("/emotions")
        async def emotions(self, file: UploadFile) -> dict[str, Any]:
            speech = await asyncio.to_thread(load_speech, await file.read())
            analysis = await self.model.analyse.remote(speech.samples, None, None)
            return {"scores": analysis.scores, "duration_s": speech.duration_s}

    def stub(kind: type, *arguments: float) -> Any:
        return serve.deployment(max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.1})(kind).bind(*arguments)

    def companion(ahead: bool) -> Any:
        settings = LiveSettings(realtime=RealtimeSettings(max_sessions=1024, answer_ahead=ahead)).model_dump(mode="json")
        parts = (stub(StubEmotion), stub(StubDialogue, answer_s), stub(StubVoice, voice_s), None, None, None)
        return serve.deployment(max_ongoing_requests=4096, ray_actor_options={"num_cpus": 0.1})(Companion).bind(*parts, settings, None)

    with start_ray(num_cpus=max(2, os.cpu_count() or 1)):
        http = {"host": "127.0.0.1", "port": port, "request_timeout_s": None}
        log = {"log_level": "WARNING"}  # as serve_app
        serve.start(proxy_location="HeadOnly", http_options=http, logging_config=log)
        serve.run(Raw.bind(stub(StubEmotion)), name="raw", route_prefix="/raw", logging_config=log)  # type: ignore[attr-defined]
        serve.run(companion(False), name="after", route_prefix="/after", logging_config=log)
        serve.run(companion(True), name="ours", route_prefix="/", logging_config=log)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
        serve.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=("bare", "alone", "ours"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer-s", type=float, default=0.05, help="what the dialogue model takes")
    parser.add_argument("--voice-s", type=float, default=0.02, help="what the voice takes")
    options = parser.parse_args()
    if options.server == "ours":
        serve_on_ray(options.port, options.answer_s, options.voice_s)
    else:
        {"bare": serve_bare, "alone": serve_alone}[options.server](options.port)


if __name__ == "__main__":
    main()
