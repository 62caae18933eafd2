"""The HTTP interface of the speech emotion service, as a FastAPI app over any `EmotionService`."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, File, Form, UploadFile
from fastapi.security import HTTPBearer

from rapport import __version__
from rapport.core.audio import SAMPLE_RATE_HZ, Speech
from rapport.serve_apps.http.answers import ERRORS, Health
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.health import add_health
from rapport.serve_apps.http.models import add_models, find_id
from rapport.serve_apps.http.pages import add_pages
from rapport.serve_apps.http.uploads import SpeechDecoder
from rapport.serve_apps.http.waiting import Recent, in_time
from rapport.serve_apps.speech_emotion.answers import EmotionAnswer, EmotionService, ModelCard
from rapport.serve_apps.speech_emotion.settings import EmotionSettings

T = TypeVar("T")

_HEALTH_KEPT_S = 2.0
_FACTS_KEPT_S = 10.0
_DESCRIPTION = """
The emotion in a clip of speech, as a whole and over time.

    curl -s -F file=@clip.wav http://127.0.0.1:8000/v1/audio/emotions
    curl -s -F file=@clip.wav -F hop_s=0.5 -F transcribe=true http://127.0.0.1:8000/v1/audio/emotions

Every error is an OpenAI error object.
"""


@dataclass
class EmotionRequests:
    """The work behind the endpoints: one upload in, one answer out."""

    service: EmotionService
    settings: EmotionSettings
    transcribes: bool
    decoder: SpeechDecoder = field(init=False)

    def __post_init__(self) -> None:
        self.decoder = SpeechDecoder(self.settings.audio, self.settings.decode_threads)
        self.health = Recent(self._look, _HEALTH_KEPT_S)
        # Asked for again: another model may have been deployed.
        self.facts = Recent(lambda: self._in_time(self.service.facts()), _FACTS_KEPT_S)

    async def answer(
        self, upload: UploadFile, *, param: str, window_s: float | None, hop_s: float | None, timeline: bool, transcribe: bool | None
    ) -> EmotionAnswer:
        """The emotion of an upload; `transcribe` None gives the words where this server can.

        Raises ApiError for everything that the client can mend.
        """
        if transcribe and not self.transcribes:
            raise ApiError(400, "this server has no transcriber: deploy it with --transcriber pocketsphinx", param="transcribe")
        speech = await self.decoder.read(upload, param)
        short = speech.duration_s <= self.settings.max_transcribe_s
        if transcribe and not short:
            message = f"the clip lasts {speech.duration_s:.1f} s, words are given for up to {self.settings.max_transcribe_s:g} s"
            raise ApiError(400, f"{message} (max_transcribe_s)", param="transcribe", code="too_long_to_transcribe")
        if transcribe is None:
            transcribe = self.transcribes and short
        window_s, hop_s = await self._windows(speech, window_s, hop_s) if timeline else (None, None)
        words = self.service.transcribe(speech.samples) if transcribe else _nothing()
        analysis, text = await self._in_time(_both(self.service.analyse(speech.samples, window_s, hop_s), words))
        return EmotionAnswer.of(self.settings.model_id, speech.duration_s, analysis, text)

    async def _windows(self, speech: Speech, window_s: float | None, hop_s: float | None) -> tuple[float, float]:
        window_s = window_s or (await self.facts.get()).window_s
        hop_s = hop_s or window_s / 2
        count = max(0.0, speech.duration_s - window_s) / hop_s + 1
        if count > self.settings.max_windows:
            message = f"{speech.duration_s:.1f} s at hop_s={hop_s:g} makes {count:.0f} windows, the limit is {self.settings.max_windows}"
            raise ApiError(400, f"{message} (max_windows): choose a longer hop_s", param="hop_s", code="too_many_windows")
        return window_s, hop_s

    async def _look(self) -> Health:
        began_s = time.monotonic()
        clip = 0.1 * np.sin(2 * np.pi * 220 / SAMPLE_RATE_HZ * np.arange(SAMPLE_RATE_HZ, dtype=np.float32))
        await self._in_time(self.service.analyse(clip, None, None))
        return Health(model=self.settings.model_id, latency_ms=round(1000 * (time.monotonic() - began_s), 2))

    async def cards(self) -> list[ModelCard]:
        """The models of this server."""
        facts = await self.facts.get()
        card = ModelCard(id=self.settings.model_id, created=facts.created, emotions=list(facts.emotions), window_s=facts.window_s)
        return [card]

    @property
    def known_as(self) -> dict[str, str]:
        """Other names of the model."""
        return {"default": self.settings.model_id}

    def check_model(self, name: str) -> None:
        """Nothing, if `name` is this server's model. Raises ApiError (404) otherwise."""
        find_id(name, [self.settings.model_id], known_as=self.known_as, param="model")

    async def _in_time(self, work: Awaitable[T]) -> T:
        return await in_time(work, self.settings.requests.request_timeout_s)


def build_api(service: EmotionService, settings: EmotionSettings, *, key_digest: str | None = None, transcribes: bool = False) -> FastAPI:
    """The app: endpoints, pages, limits and errors. `key_digest` switches on bearer keys."""
    api = FastAPI(title="Rapport: speech emotion", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    work = EmotionRequests(service, settings, transcribes)
    guarded = APIRouter()
    add_emotions(guarded, work)
    add_models(guarded, ModelCard, work.cards, known_as=work.known_as, tells="What it tells apart.")
    if settings.compatibility_routes:
        from rapport.serve_apps.speech_emotion.compatibility import add_compatibility_routes

        add_compatibility_routes(guarded, work, ERRORS)
    # `protect` checks the key before anything is read; the dependency only tells the reference that there is one.
    api.include_router(guarded, dependencies=[Depends(HTTPBearer(auto_error=False))] if key_digest else [])
    add_health(api, work.health)
    pages = add_pages(api, "speech_emotion")
    protect(api, settings.requests, key_digest=key_digest, open_paths=pages | {"/healthz"})
    return api


def add_emotions(api: APIRouter, work: EmotionRequests) -> None:
    """Add POST /v1/audio/emotions."""

    @api.post("/v1/audio/emotions", response_model=EmotionAnswer, responses=ERRORS, tags=["emotion"], summary="Emotion of a clip")
    async def emotions(
        file: Annotated[UploadFile, File(description="The recording: WAV, FLAC, Ogg, MP3, M4A, WebM and others, judged by content.")],
        model: Annotated[str, Form(description="`ser` or `default`.", max_length=200)] = "default",
        timeline: Annotated[bool, Form(description="Also answer for overlapping windows.")] = True,
        window_s: Annotated[float | None, Form(description="Window length; the trained one unless given.", ge=0.25, le=30)] = None,
        hop_s: Annotated[float | None, Form(description="Distance between windows; half a window unless given.", ge=0.05, le=30)] = None,
        transcribe: Annotated[bool, Form(description="Also give the words.")] = False,
    ) -> EmotionAnswer:
        """The emotion of the clip, the probability of each emotion, and the same for overlapping windows."""
        work.check_model(model)
        return await work.answer(file, param="file", window_s=window_s, hop_s=hop_s, timeline=timeline, transcribe=transcribe)


async def _both(first: Awaitable[T], second: Awaitable[str | None]) -> tuple[T, str | None]:
    """Both results; when one fails the other is not waited for."""
    return await asyncio.gather(first, second)


async def _nothing() -> None:
    return None
