"""The companion's interface: the endpoints of every app in one place, and realtime sessions, as a FastAPI app over any `Services`."""

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query
from fastapi.security import HTTPBearer
from starlette.websockets import WebSocket

from rapport import __version__
from rapport.core.head import head_script, head_shape
from rapport.serve_apps.conversation_emotion.api import ConversationRequests
from rapport.serve_apps.conversation_emotion.api import add_emotions as add_conversations
from rapport.serve_apps.http.answers import ERRORS, PlainModelCard, errors
from rapport.serve_apps.http.errors import ApiError, ErrorBody
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.health import add_health
from rapport.serve_apps.http.models import add_models, find_id
from rapport.serve_apps.http.origins import is_foreign
from rapport.serve_apps.http.pages import add_pages
from rapport.serve_apps.listener.api import MotionRequests, add_motion
from rapport.serve_apps.live_dialogue.graph import Graph, Services
from rapport.serve_apps.live_dialogue.health import GraphHealth, health_of
from rapport.serve_apps.live_dialogue.reference import DESCRIPTION
from rapport.serve_apps.live_dialogue.sessions import Places, accept, refuse, serve_session
from rapport.serve_apps.live_dialogue.settings import LiveSettings
from rapport.serve_apps.realtime.meter import Meter, NoMeter
from rapport.serve_apps.speech_emotion.api import EmotionRequests, add_emotions
from rapport.serve_apps.speech_emotion.compatibility import add_compatibility_routes
from rapport.serve_apps.spoken_dialogue.api import TRANSCRIBER_ID, VOICE_ID, DialogueRequests, add_audio, add_chat

REALTIME = "/v1/realtime"

_UPGRADE: dict[int | str, dict[str, Any]] = {426: {"model": ErrorBody, "description": "Always: connect with a WebSocket."}}


class ModelCard(PlainModelCard):
    """A model, as the OpenAI list has it, with what is special to its kind."""

    emotions: list[str] | None = None
    """What it tells apart, or hears and answers with."""
    voices: list[str] | None = None
    """The names of its voices."""
    window_s: float | None = None
    """Length of the windows that a speech emotion model was trained on."""
    rate_hz: int | None = None
    """Poses a second of a head motion model."""
    streams: bool | None = None
    """Whether it follows speech as it is spoken."""
    draws: bool | None = None
    """Whether motion can be drawn by a seed."""
    latency_s: float | None = None
    """By how much its poses lag behind the speech."""
    emotions_canonical: list[str] | None = None
    """The labels of a model for conversations, in the words that all apps share."""
    corpus: str | None = None
    """What it learned from."""
    parent: str | None = None
    """The model that an adapter is of."""


@dataclass
class LiveRequests:
    """The work behind all endpoints."""

    services: Services
    settings: LiveSettings
    meter: Meter = field(default_factory=NoMeter)
    graph: Graph = field(init=False)

    def __post_init__(self) -> None:
        services, settings, there = self.services, self.settings, self.services.present
        self.emotion = EmotionRequests(services.emotion, settings.emotion, there.transcriber)
        self.dialogue = DialogueRequests(services.dialogue, settings.dialogue, there.transcriber, there.dialogue)
        self.head_motion = MotionRequests(services.head_motion, settings.head_motion)
        self.conversations = ConversationRequests(services.conversations, settings.conversations)
        self.graph = Graph(services, settings)
        self.places = Places(settings.realtime.max_sessions, self.meter)

    @property
    def known_as(self) -> dict[str, str]:
        """Other names of models."""
        there = self.services.present
        first = self.settings.dialogue.model_id if there.dialogue else self.settings.emotion.model_id
        return {"default": first, "tts-1": VOICE_ID, "tts-1-hd": VOICE_ID, "gpt-4o-mini-tts": VOICE_ID}

    def session_model(self, name: str) -> str:
        """The model that a session is to be with; any name of OpenAI's means it. Raises ApiError (404) for another."""
        own = self.settings.dialogue.model_id
        return own if name.startswith("gpt-") else find_id(name, [own], known_as={"default": own}, param="model")

    async def cards(self) -> list[ModelCard]:
        """The models of this server, described."""
        there = self.services.present
        found: list[PlainModelCard] = []
        if there.dialogue:
            engine = await self.dialogue.facts.get()
            card = ModelCard(id=self.settings.dialogue.model_id, created=engine.created, emotions=list(engine.engine.emotions))
            found.append(card)
        if there.voice:
            found.append(ModelCard(id=VOICE_ID, created=0, voices=await self.dialogue.voices.get()))
        if there.transcriber:
            found.append(ModelCard(id=TRANSCRIBER_ID, created=0))
        if there.emotion:
            found += await self.emotion.cards()
        if there.head_motion:
            found += await self.head_motion.cards()
        if there.conversations:
            found += await self.conversations.cards()
        return [ModelCard.model_validate(card.model_dump()) for card in found]


def build_api(services: Services, settings: LiveSettings, *, key_digest: str | None = None, meter: Meter | None = None) -> FastAPI:
    """The app: endpoints, sessions, pages, limits and errors. `key_digest` switches on bearer keys."""
    api = FastAPI(title="Rapport: companion", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None)
    work = LiveRequests(services, settings, meter or NoMeter())
    guarded = APIRouter()
    add_chat(guarded, work.dialogue)
    add_audio(guarded, work.dialogue)
    add_emotions(guarded, work.emotion)
    add_motion(guarded, work.head_motion)
    add_conversations(guarded, work.conversations)
    add_models(guarded, ModelCard, work.cards, known_as=work.known_as, tells="What is special to its kind; null is not of it.")
    if settings.emotion.compatibility_routes:
        add_compatibility_routes(guarded, work.emotion, ERRORS)
    _add_realtime(api, guarded, work, has_key=key_digest is not None)
    # `protect` checks the key before anything is read; the dependency only tells the reference that there is one.
    api.include_router(guarded, dependencies=[Depends(HTTPBearer(auto_error=False))] if key_digest else [])
    add_health(api, health_of(services, settings), GraphHealth)
    pages = add_pages(api, "companion", {"head.js": head_script(), "head.json": json.dumps(head_shape())})
    protect(api, settings.requests, key_digest=key_digest, open_paths=pages | {"/healthz"})
    return api


def _add_realtime(api: FastAPI, guarded: APIRouter, work: LiveRequests, has_key: bool) -> None:
    @guarded.get(REALTIME, status_code=426, responses={**_UPGRADE, **errors(401)}, tags=["realtime"], summary="Talk")
    async def told_to_upgrade() -> None:
        """A WebSocket: OpenAI's Realtime events both ways. They are described at the top."""
        raise ApiError(426, "this is a WebSocket: connect with ws:// or wss://", code="upgrade_required", headers={"Upgrade": "websocket"})

    @api.websocket(REALTIME)
    async def realtime(socket: WebSocket, model: Annotated[str, Query(max_length=200)] = "default") -> None:
        # A key is as good as a name: with one in force, who knows it may come from any page.
        if is_foreign(socket) and not has_key:
            await socket.close(1008, "pages of other sites may not connect")
            return
        try:
            chosen = work.session_model(model)
        except ApiError as error:
            await accept(socket)
            await refuse(socket, error)
            return
        await serve_session(socket, work.graph, work.places, work.settings.realtime, chosen)
