"""The HTTP and WebSocket interface of the head motion service, as a FastAPI app over any `MotionService`."""

import json
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, File, Form, UploadFile
from fastapi.security import HTTPBearer
from starlette.responses import Response
from starlette.websockets import WebSocket

from rapport import __version__
from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.head import head_script, head_shape
from rapport.core.pose import csv_of
from rapport.serve_apps.http.answers import ERRORS, Health, errors
from rapport.serve_apps.http.errors import ApiError, ErrorBody
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.health import add_health
from rapport.serve_apps.http.models import add_models, find_id
from rapport.serve_apps.http.origins import is_foreign
from rapport.serve_apps.http.pages import add_pages
from rapport.serve_apps.http.uploads import SpeechDecoder
from rapport.serve_apps.http.waiting import Recent, in_time
from rapport.serve_apps.listener.answers import ModelCard, MotionAnswer, MotionService
from rapport.serve_apps.listener.settings import MotionSettings

T = TypeVar("T")

STREAM = "/v1/audio/head-motion/stream"

_HEALTH_KEPT_S = 2.0
_FACTS_KEPT_S = 10.0
_CSV: dict[str, Any] = {"content": {"text/csv": {"example": "time_s,roll,pitch,yaw\n0.033333,0.410000,2.180000,-1.070000\n"}}}
_UPGRADE: dict[int | str, dict[str, Any]] = {426: {"model": ErrorBody, "description": "Always: connect with a WebSocket."}}
_DESCRIPTION = f"""
How a listener moves its head while somebody speaks: roll, pitch and yaw in degrees, 25 to 60 times a second.

    curl -s -F file=@clip.wav http://127.0.0.1:8000/v1/audio/head-motion
    curl -s -F file=@clip.wav -F rate_hz=60 -F seed=1 -F response_format=csv http://127.0.0.1:8000/v1/audio/head-motion

**Speech as it is spoken** goes to a WebSocket at `{STREAM}`. Text messages are JSON objects with a `type`, binary ones are audio.

| the client sends | |
|---|---|
| `{{"type": "start", "sample_rate_hz": 16000, "rate_hz": 30, "seed": null}}` | first; all but `type` may be left out |
| `{{"type": "start", "token": "..."}}` | first: goes on where the stream was that gave the token |
| audio | 16-bit little-endian samples, one channel, messages of any length, at the pace of speech |
| `{{"type": "ack", "time_s": 1.5}}` | poses up to here are read; a few times a second, or poses wait and the oldest are dropped |
| `{{"type": "ping"}}` | says that the client is there, although it has no audio |
| `{{"type": "state"}}` | asks for a resume token, of which there is one a second at most, and one between two `ack` |
| `{{"type": "finish"}}` | asks for the last poses and the end |

| the server sends | |
|---|---|
| `{{"type": "started", "rate_hz": 30, "latency_s": 0.05, "samples": 0, ...}}` | what it will do |
| `{{"type": "poses", "frames": [{{"time_s": 0.033333, "roll": 0.4, "pitch": 2.2, "yaw": -1.1}}], ...}}` | as soon as they are due |
| `{{"type": "state", "token": "...", "samples": 24000}}` | a client that resumes sends its audio from this sample on |
| `{{"type": "pong"}}`, `{{"type": "finished", ...}}` | |
| `{{"type": "error", "error": {{...}}, "retry_after_s": 2}}` | before it closes; `retry_after_s` where all places are taken |

Every error is an OpenAI error object.
"""


@dataclass
class MotionRequests:
    """The work behind the endpoints: one upload in, one answer out."""

    service: MotionService
    settings: MotionSettings
    decoder: SpeechDecoder = field(init=False)

    def __post_init__(self) -> None:
        self.decoder = SpeechDecoder(self.settings.audio, self.settings.decode_threads)
        self.health = Recent(self._look, _HEALTH_KEPT_S)
        self.facts = Recent(lambda: self.in_time(self.service.facts()), _FACTS_KEPT_S)

    async def answer(self, upload: UploadFile, rate_hz: float | None, seed: int | None, shape: Literal["json", "csv"]) -> Any:
        """The motion to an upload. Raises ApiError for everything that the client can mend."""
        facts = await self.facts.get()
        if seed is not None and not facts.draws:
            raise ApiError(400, "this model tells one motion and nothing can be drawn: leave out the seed", param="seed")
        speech = await self.decoder.read(upload)
        poses = await self.in_time(self.service.motion(speech.samples, rate_hz, seed))
        if shape == "csv":
            return Response(csv_of(poses), media_type="text/csv")
        return MotionAnswer.of(self.settings.model_id, rate_hz or facts.rate_hz, speech.duration_s, seed, poses)

    async def cards(self) -> list[ModelCard]:
        """The models of this server."""
        facts = await self.facts.get()
        card = ModelCard(
            id=self.settings.model_id,
            created=facts.created,
            rate_hz=facts.rate_hz,
            streams=facts.streams,
            draws=facts.draws,
            latency_s=round(facts.latency_s, 6),
        )
        return [card]

    @property
    def known_as(self) -> dict[str, str]:
        """Other names of the model."""
        return {"default": self.settings.model_id}

    def check_model(self, name: str) -> None:
        """Nothing, if `name` is this server's model. Raises ApiError (404) otherwise."""
        find_id(name, [self.settings.model_id], known_as=self.known_as, param="model")

    async def in_time(self, work: Awaitable[T]) -> T:
        """The result of the work. Raises ApiError (503) when it takes too long."""
        return await in_time(work, self.settings.requests.request_timeout_s)

    async def _look(self) -> Health:
        began_s = time.monotonic()
        clip = 0.1 * np.sin(2 * np.pi * 220 / SAMPLE_RATE_HZ * np.arange(SAMPLE_RATE_HZ, dtype=np.float32))
        await self.in_time(self.service.motion(clip, None, None))
        return Health(model=self.settings.model_id, latency_ms=round(1000 * (time.monotonic() - began_s), 2))


def build_api(service: MotionService, settings: MotionSettings, *, key_digest: str | None = None) -> FastAPI:
    """The app: endpoints, pages, limits and errors. `key_digest` switches on bearer keys."""
    api = FastAPI(title="Rapport: head motion of a listener", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    work = MotionRequests(service, settings)
    guarded = APIRouter()
    add_motion(guarded, work)
    add_models(guarded, ModelCard, work.cards, known_as=work.known_as, tells="Its rate, its latency, and what it can do.")
    _add_stream(api, guarded, work, has_key=key_digest is not None)
    # `protect` checks the key before anything is read; the dependency only tells the reference that there is one.
    api.include_router(guarded, dependencies=[Depends(HTTPBearer(auto_error=False))] if key_digest else [])
    add_health(api, work.health)
    pages = add_pages(api, "listener", {"head.js": head_script(), "head.json": json.dumps(head_shape())})
    protect(api, settings.requests, key_digest=key_digest, open_paths=pages | {"/healthz"})
    return api


def add_motion(api: APIRouter, work: MotionRequests) -> None:
    """Add POST /v1/audio/head-motion."""
    answers = {**ERRORS, 200: {**_CSV, "description": "The poses, as JSON or CSV."}}

    @api.post("/v1/audio/head-motion", response_model=MotionAnswer, responses=answers, tags=["motion"], summary="Motion to a recording")
    async def head_motion(
        file: Annotated[UploadFile, File(description="The recording: WAV, FLAC, Ogg, MP3, M4A, WebM and others, judged by content.")],
        model: Annotated[str, Form(description="`listener` or `default`.", max_length=200)] = "default",
        rate_hz: Annotated[float | None, Form(description="Poses a second; the model's own unless given.", ge=25, le=60)] = None,
        seed: Annotated[int | None, Form(description="Draws the motion; without one it is the most probable.", ge=0, lt=2**63)] = None,
        response_format: Annotated[Literal["json", "csv"], Form(description="`csv` is a table of times and angles.")] = "json",
    ) -> Any:
        """Roll, pitch and yaw of a listener's head, frame by frame."""
        work.check_model(model)
        return await work.answer(file, rate_hz, seed, response_format)


def _add_stream(api: FastAPI, guarded: APIRouter, work: MotionRequests, has_key: bool) -> None:
    # Here, because it brings the model along, which a front of recordings alone can do without.
    from rapport.serve_apps.listener.stream import refuse_stream, serve_stream

    @guarded.get(STREAM, status_code=426, responses={**_UPGRADE, **errors(401)}, tags=["motion"], summary="Motion as somebody speaks")
    async def told_to_upgrade() -> None:
        """A WebSocket: audio in, poses out. Its messages are described at the top."""
        raise ApiError(426, "this is a WebSocket: connect with ws:// or wss://", code="upgrade_required", headers={"Upgrade": "websocket"})

    @api.websocket(STREAM)
    async def stream(socket: WebSocket) -> None:
        # A key is as good as a name: with one in force, who knows it may come from any page.
        if is_foreign(socket) and not has_key:
            await socket.close(1008, "pages of other sites may not connect")
            return
        try:
            pool = work.service.sessions()
        except ApiError as error:
            await refuse_stream(socket, error)
            return
        await serve_stream(socket, pool, work.settings.model_id)
