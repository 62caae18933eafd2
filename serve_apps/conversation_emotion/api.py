"""The HTTP interface of the service for emotions in conversations, as a FastAPI app over any `ConversationService`."""

import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer

from rapport import __version__
from rapport.core.conversations import canonical_emotion
from rapport.serve_apps.conversation_emotion.answers import (
    SMALL_TALK,
    AdapterFacts,
    ConversationService,
    DialogueEmotions,
    Done,
    EmotionsAnswer,
    Event,
    Item,
    Judged,
    ModelCard,
    Piece,
    Reasons,
    TurnEmotion,
    Usage,
)
from rapport.serve_apps.conversation_emotion.requests import EmotionsRequest, question_of
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.http.answers import Health, errors
from rapport.serve_apps.http.errors import ErrorBody
from rapport.serve_apps.http.events import event_stream
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.health import add_health
from rapport.serve_apps.http.models import add_models, find_id
from rapport.serve_apps.http.pages import add_pages
from rapport.serve_apps.http.waiting import Recent, asked, in_time

T = TypeVar("T")

_HEALTH_KEPT_S = 2.0
_FACTS_KEPT_S = 10.0
_DESCRIPTION = """
The emotion in each line of a conversation, from who speaks, where they are and what was said before.

    curl -s -H 'Content-Type: application/json' -d '{"dialogues": [{"turns": [{"speaker": "Nora", "text": "The van leaves in ten minutes."},
      {"speaker": "Eli", "text": "I only packed the kettle."}], "scene": "a flat on moving day."}]}' http://127.0.0.1:8000/v1/dialogues/emotions

With `rationale` the model also writes reasons. Adapters of the model are models of their own: `coe:<name>`. With `stream` the answer comes
as server-sent events, each a JSON object with the `model`, and `dialogue_id` and `turn` where it is about one:

| field | |
|---|---|
| `result` | what is felt in the turn, as in the whole answer |
| `rationale_delta` | words of its reasons as they are written, with the label in angle brackets that they end in |
| `rationale`, `rationale_emotion` | the reasons as a whole, and that label or null; nothing more comes about this turn |
| `usage` | tokens of all; then `[DONE]` |

Every error is an OpenAI error object.
"""
_REFUSALS: dict[int | str, dict[str, Any]] = {
    **errors(401, 413, 429, 503),
    400: {"model": ErrorBody, "description": "A wrong field, or more than the limits allow; `param` names it."},
    404: {"model": ErrorBody, "description": "No model or adapter of that name."},
    200: {
        "description": "The answer; with `stream` true, server-sent events of type `dialogue.emotions.chunk`.",
        "content": {"text/event-stream": {"schema": {"type": "object", "properties": {"data": {"type": "string"}}}}},
    },
}


@dataclass
class ConversationRequests:
    """The work behind the endpoint."""

    service: ConversationService
    settings: ConversationSettings

    def __post_init__(self) -> None:
        self.health = Recent(self._look, _HEALTH_KEPT_S)
        # Asked for again: another model may have been deployed.
        self.facts = Recent(lambda: self._in_time(self.service.facts()), _FACTS_KEPT_S)

    @property
    def known_as(self) -> dict[str, str]:
        """Other names of the model."""
        return {"default": self.settings.model_id}

    async def find_model(self, name: str) -> str:
        """The model that is meant by a name. Raises ApiError (404) when there is none."""
        ids = [self.settings.model_id]
        if self.known_as.get(name, name) not in ids:
            ids = [card.id for card in await self.cards()]
        return find_id(name, ids, known_as=self.known_as, param="model")

    async def answer(self, request: EmotionsRequest, model: str) -> EmotionsAnswer:
        """The answer as a whole. Raises ApiError for everything that the client can mend."""
        question = question_of(request, self._adapter(model), self.settings)
        items = await self._in_time(self.service.answer(question))
        reasons = {(item.dialogue, item.turn): item for item in items if isinstance(item, Reasons)}
        turns: list[list[TurnEmotion]] = [[] for _ in question.dialogues]
        usage = Usage()
        for item in items:
            usage = usage.plus(item)
            if isinstance(item, Judged):
                speaker = request.dialogues[item.dialogue].turns[item.turn].speaker
                turns[item.dialogue].append(TurnEmotion.of(item, speaker, reasons.get((item.dialogue, item.turn))))
        data = [DialogueEmotions(dialogue_id=_name(request, number), turns=found) for number, found in enumerate(turns)]
        return EmotionsAnswer(model=model, data=data, usage=usage)

    async def stream(self, request: EmotionsRequest, model: str) -> AsyncIterator[dict[str, Any]]:
        """The answer in events. Raises ApiError for everything that the client can mend, before the first one."""
        question = question_of(request, self._adapter(model), self.settings)
        usage = Usage()
        async with aclosing(self.service.stream(question)) as items:
            while not isinstance(item := await self._in_time(anext(items)), Done):
                if not isinstance(item, Piece):
                    usage = usage.plus(item)
                yield _event(request, model, item)
        yield _told(Event(model=model, usage=usage))

    async def cards(self) -> list[ModelCard]:
        """The models of this server: the model, and its adapters by name."""
        facts = await self.facts.get()
        own = self.settings.model_id

        def card(name: str, facts: AdapterFacts, parent: str | None = None) -> ModelCard:
            canonical = [canonical_emotion(label) for label in facts.labels]
            return ModelCard(
                id=name,
                created=facts.created,
                emotions=list(facts.labels),
                emotions_canonical=canonical,
                corpus=facts.corpus,
                parent=parent,
            )

        return [card(own, facts.model), *(card(f"{own}:{name}", adapter, own) for name, adapter in facts.adapters.items())]

    def _adapter(self, model: str) -> str:
        return model.removeprefix(self.settings.model_id).removeprefix(":")

    async def _look(self) -> Health:
        began_s = time.monotonic()
        await self._in_time(self.service.answer(SMALL_TALK))
        return Health(model=self.settings.model_id, latency_ms=round(1000 * (time.monotonic() - began_s), 2))

    async def _in_time(self, work: Awaitable[T]) -> T:
        return await in_time(asked(work), self.settings.requests.request_timeout_s)


def build_api(service: ConversationService, settings: ConversationSettings, *, key_digest: str | None = None) -> FastAPI:
    """The app: endpoints, pages, limits and errors. `key_digest` switches on bearer keys."""
    title = "Rapport: emotions in conversations"
    api = FastAPI(title=title, version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    work = ConversationRequests(service, settings)
    guarded = APIRouter()
    add_emotions(guarded, work)
    add_models(guarded, ModelCard, work.cards, known_as=work.known_as, tells="Its labels, what it learned from, and what carries it.")
    # `protect` checks the key before anything is read; the dependency only tells the reference that there is one.
    api.include_router(guarded, dependencies=[Depends(HTTPBearer(auto_error=False))] if key_digest else [])
    add_health(api, work.health)
    pages = add_pages(api, "conversation_emotion")
    protect(api, settings.requests, key_digest=key_digest, open_paths=pages | {"/healthz"})
    return api


def add_emotions(api: APIRouter, work: ConversationRequests) -> None:
    """Add POST /v1/dialogues/emotions."""

    @api.post(
        "/v1/dialogues/emotions", response_model=EmotionsAnswer, responses=_REFUSALS, tags=["emotion"], summary="Emotions of conversations"
    )
    async def emotions(request: EmotionsRequest) -> Any:
        """The emotion of each turn, the probability of each label, and reasons where they are asked for."""
        model = await work.find_model(request.model)
        return await (event_stream(work.stream(request, model)) if request.stream else work.answer(request, model))


def _name(request: EmotionsRequest, number: int) -> str:
    given = request.dialogues[number].dialogue_id
    return str(number) if given is None else given


def _event(request: EmotionsRequest, model: str, item: Item) -> dict[str, Any]:
    assert not isinstance(item, Done)
    about = {"model": model, "dialogue_id": _name(request, item.dialogue), "turn": item.turn}
    if isinstance(item, Judged):
        speaker = request.dialogues[item.dialogue].turns[item.turn].speaker
        return _told(Event(**about, result=TurnEmotion.of(item, speaker)))
    if isinstance(item, Piece):
        return _told(Event(**about, rationale_delta=item.text))
    return {**_told(Event(**about, rationale=item.text)), "rationale_emotion": item.label}


def _told(event: Event) -> dict[str, Any]:
    return event.model_dump(exclude_none=True)
