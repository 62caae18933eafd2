"""The HTTP interface of the spoken dialogue service, as a FastAPI app over any `DialogueService`."""

import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, File, Form, UploadFile
from fastapi.security import HTTPBearer
from starlette.responses import Response

from rapport import __version__
from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.sound_files import MEDIA_TYPES
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question
from rapport.serve_apps.http.answers import ERRORS, Health
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.events import event_stream
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.health import add_health
from rapport.serve_apps.http.models import add_models, find_id
from rapport.serve_apps.http.pages import add_pages
from rapport.serve_apps.http.uploads import SpeechDecoder
from rapport.serve_apps.http.waiting import Recent, asked, in_time
from rapport.serve_apps.spoken_dialogue.answers import (
    ChatAnswer,
    DialogueService,
    ModelCard,
    ModelFacts,
    Transcription,
    VerboseTranscription,
)
from rapport.serve_apps.spoken_dialogue.chat import Conversations
from rapport.serve_apps.spoken_dialogue.requests import ChatRequest, SpeechRequest, VoiceName, name_of
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from rapport.serve_apps.spoken_dialogue.transcriptions import Shape, Transcriptions, shaped
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder

T = TypeVar("T")

VOICE_ID, TRANSCRIBER_ID = "tts", "asr"
# Names of OpenAI's models that stock clients and their examples send, and what answers for them here.
_KNOWN_AS = {"tts-1": VOICE_ID, "tts-1-hd": VOICE_ID, "gpt-4o-mini-tts": VOICE_ID}
_HEALTH_KEPT_S = 2.0
_FACTS_KEPT_S = 10.0
_DESCRIPTION = """
Speech in, an answer with emotion out, in the shapes of OpenAI: the stock `openai` client works with this server's address as `base_url`.

    curl -s -H 'Content-Type: application/json' -d @request.json http://127.0.0.1:8000/v1/chat/completions
    curl -s -F file=@clip.wav http://127.0.0.1:8000/v1/audio/transcriptions
    curl -s -H 'Content-Type: application/json' -d '{"input": "We won!", "x_emotion": "happy"}' -o won.mp3 http://127.0.0.1:8000/v1/audio/speech

What OpenAI has no field for begins with `x_`. Every error is an OpenAI error object.
"""
_EVENTS = {
    "description": "The answer; with `stream` true, server-sent events of type `chat.completion.chunk`.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_FILE = {"schema": {"type": "string", "format": "binary"}}
_SOUND = {"description": "A file of speech.", "content": {kind: _FILE for kind in MEDIA_TYPES.values()}}
_CHAT = {**ERRORS, 200: _EVENTS}


@dataclass
class DialogueRequests:
    """The work behind the endpoints."""

    service: DialogueService
    settings: DialogueSettings
    transcribes: bool
    hears: bool = True
    """Whether there is a dialogue model; without one the transcriber answers for the model `default`."""
    conversations: Conversations = field(init=False)

    def __post_init__(self) -> None:
        limits, threads = self.settings.audio, self.settings.decode_threads
        self.conversations = Conversations(self.service, self.settings, SpeechDecoder(limits, threads))
        longer = limits.model_copy(update={"max_duration_s": self.settings.max_transcribe_s})
        self.recordings = SpeechDecoder(longer, threads)
        self.transcriptions = Transcriptions(self.service, self.settings)
        self.health = Recent(self._look, _HEALTH_KEPT_S)
        # Asked for again: another model may have been deployed.
        self.facts = Recent(lambda: self.in_time(self.service.facts()), _FACTS_KEPT_S)
        self.voices = Recent(lambda: self.in_time(self.service.voices()), _FACTS_KEPT_S)

    async def in_time(self, work: Awaitable[T]) -> T:
        """The result of the work. Raises ApiError (503) when it takes too long."""
        return await in_time(work, self.settings.requests.request_timeout_s)

    async def check_voice(self, voice: VoiceName | None, param: str) -> str:
        """The voice that is meant. Raises ApiError (400) when there is none of that name."""
        name = name_of(voice, self.settings.voice)
        names = await self.voices.get()
        if name not in names:
            raise ApiError(400, f"there is no voice {name!r}: there are {', '.join(names)}", param=param, code="voice_not_found")
        return name

    def check_model(self, name: str, *, ids: tuple[str, ...], default: str) -> str:
        """The model that is meant by a name. Raises ApiError (404) when this endpoint has none of that name."""
        return find_id(name, ids, known_as={**_KNOWN_AS, "default": default}, param="model")

    async def cards(self) -> list[ModelCard]:
        """The models of this server, described."""
        facts: ModelFacts = await self.facts.get()
        cards = [
            ModelCard(id=self.settings.model_id, created=facts.created, emotions=list(facts.engine.emotions)),
            ModelCard(id=VOICE_ID, created=0, voices=await self.voices.get()),
        ]
        return cards + ([ModelCard(id=TRANSCRIBER_ID, created=0)] if self.transcribes else [])

    async def _look(self) -> Health:
        began_s = time.monotonic()
        clip = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE_HZ // 2).astype(np.float32)
        briefly = GenerationConfig(constrained=True, max_new_tokens=8)
        await self.in_time(self.service.reply(Question(clip, replies=False, generation=briefly)))
        return Health(model=self.settings.model_id, latency_ms=round(1000 * (time.monotonic() - began_s), 2))


def build_api(service: DialogueService, settings: DialogueSettings, *, key_digest: str | None = None, transcribes: bool = False) -> FastAPI:
    """The app: endpoints, pages, limits and errors. `key_digest` switches on bearer keys."""
    api = FastAPI(title="Rapport: spoken dialogue", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    work = DialogueRequests(service, settings, transcribes)
    guarded = APIRouter()
    add_chat(guarded, work)
    add_audio(guarded, work)
    known_as = {**_KNOWN_AS, "default": settings.model_id}
    add_models(guarded, ModelCard, work.cards, known_as=known_as, tells="Its emotions, or its voices.")
    # `protect` checks the key before anything is read; the dependency only tells the reference that there is one.
    api.include_router(guarded, dependencies=[Depends(HTTPBearer(auto_error=False))] if key_digest else [])
    add_health(api, work.health)
    pages = add_pages(api, "spoken_dialogue")
    protect(api, settings.requests, key_digest=key_digest, open_paths=pages | {"/healthz"})
    return api


def add_chat(api: APIRouter, work: DialogueRequests) -> None:
    """Add POST /v1/chat/completions."""

    @api.post("/v1/chat/completions", response_model=ChatAnswer, responses=_CHAT, tags=["dialogue"], summary="Answer speech")
    async def chat(request: ChatRequest) -> Any:
        """What the user said and felt, and a reply with an emotion, in text and on request as speech."""
        work.check_model(request.model, ids=(work.settings.model_id,), default=work.settings.model_id)
        engine = (await work.facts.get()).engine
        if not engine.replies:
            message = f"{work.settings.model_id} hears and does not reply: ask /v1/audio/transcriptions, or serve a model of stage 3"
            raise ApiError(400, message, param="model", code="model_does_not_reply")
        if request.speaks:
            await work.check_voice(request.audio.voice if request.audio else None, "audio.voice")
        if request.stream:
            return await event_stream(work.conversations.stream(request, engine.history_turns))
        return await work.conversations.answer(request, engine.history_turns)


def add_audio(api: APIRouter, work: DialogueRequests) -> None:
    """Add POST /v1/audio/transcriptions and POST /v1/audio/speech."""

    @api.post(
        "/v1/audio/transcriptions",
        response_model=VerboseTranscription | Transcription,
        responses=ERRORS,
        tags=["audio"],
        summary="Write speech down",
    )
    async def transcriptions(
        file: Annotated[UploadFile, File(description="The recording: WAV, FLAC, Ogg, MP3, M4A, WebM and others, judged by content.")],
        model: Annotated[str, Form(description="The dialogue model, which also tells the emotion, or `asr`.", max_length=200)] = "default",
        response_format: Annotated[Shape, Form(description="`verbose_json`, `srt` and `vtt` have stretches with times.")] = "json",
        language: Annotated[str, Form(description="Repeated in the answer; the models know one language.", max_length=35)] = "en",
    ) -> Any:
        """The words of a recording, and with the dialogue model the emotion they are said with."""
        ids = (work.settings.model_id, *([TRANSCRIBER_ID] if work.transcribes else []))
        chosen = work.check_model(model, ids=ids, default=work.settings.model_id if work.hears else TRANSCRIBER_ID)
        speech = await work.recordings.read(file)
        found = work.transcriptions.segments(speech, with_model=chosen != TRANSCRIBER_ID)
        return shaped(await work.in_time(asked(found)), speech.duration_s, language, response_format)

    @api.post("/v1/audio/speech", response_class=Response, responses={**ERRORS, 200: _SOUND}, tags=["audio"], summary="Speak a text")
    async def speech(request: SpeechRequest) -> Response:
        """A file in which the text is spoken with an emotion."""
        work.check_model(request.model, ids=(VOICE_ID,), default=VOICE_ID)
        longest = work.settings.max_message_characters
        if not request.input.strip() or len(request.input) > longest:
            message = f"the text has {len(request.input):,} characters, wanted 1 to {longest:,} (max_message_characters)"
            raise ApiError(400, message, param="input")
        voice = await work.check_voice(request.voice, "voice")
        strength = work.settings.emotion_strength if request.x_strength is None else request.x_strength
        order = SpeechOrder(request.input, voice, request.x_emotion, strength, request.speed, request.response_format)
        data = await work.in_time(asked(work.service.speak(order)))
        return Response(data, media_type=MEDIA_TYPES[request.response_format])
