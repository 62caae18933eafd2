"""What the spoken dialogue app deploys: the HTTP front, the model, the voice. `serve_apps/sds.py` sizes them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import DialogueEngine, Question, Reply
from rapport.serve_apps.http.queues import queued, queued_items
from rapport.serve_apps.spoken_dialogue.answers import ModelFacts
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from rapport.serve_apps.spoken_dialogue.voices import Speaker, SpeechOrder

Items = list[Piece | Reply | Exception]


class DialogueModel:
    """The engine on one device. Questions that wait together are answered together, token by token, on a thread of its own."""

    def __init__(self, engine: Mapping[str, str], max_batch_size: int, wait_s: float) -> None:
        from rapport.models.emosds.engine import load_engine
        from rapport.models.emosds.lineage import usefulness
        from rapport.models.find import find_model, saved_at, storage_root

        folder = find_model(engine["model"], "emosds", best=usefulness)
        where = {name: engine[name] for name in ("codebook", "encoder", "device")}
        self._engine: DialogueEngine = load_engine(folder, root=storage_root(), **where)
        self._facts = ModelFacts(self._engine.facts, saved_at(folder))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._answers = batched(self._engine, self._thread, max_batch_size, wait_s)
        # The first call is slow (kernels are chosen): not at the cost of the first client.
        self._engine.reply([Question(np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32), replies=False)])

    async def reply(self, question: Question) -> Reply:
        """As `DialogueService.reply`."""
        async for item in self.stream(question):
            if isinstance(item, Reply):
                return item
        raise RuntimeError("the engine ended without an answer")

    async def stream(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """As `DialogueService.stream`."""
        # What came through Ray is read-only, which torch warns of.
        caller = Caller(replace(question, samples=np.array(question.samples)))
        try:
            async for items in self._answers(caller):
                for item in items:
                    if isinstance(item, Exception):
                        raise item
                    yield item
        finally:
            caller.gone.set()

    async def facts(self) -> ModelFacts:
        """As `DialogueService.facts`."""
        return self._facts


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """Who waits for an answer."""

    question: Question
    gone: Event = field(default_factory=Event)
    """Set when nobody listens any more."""


def batched(engine: DialogueEngine, thread: ThreadPoolExecutor, max_batch_size: int, wait_s: float) -> Any:
    """A function that streams lists of what is new in the answer to one caller, who is answered in one batch with others that wait.

    Works in a Serve replica alone.
    """

    async def answers(callers: list[Caller]) -> AsyncIterator[Sequence[Any]]:
        async for found in answered_together(engine, thread, callers):
            yield found

    decorate: Any = serve.batch(max_batch_size=max_batch_size, batch_wait_timeout_s=wait_s)
    return decorate(answers)


async def answered_together(engine: DialogueEngine, thread: ThreadPoolExecutor, callers: Sequence[Caller]) -> AsyncIterator[Sequence[Any]]:
    """At each step a list for each caller of what is new, until all have their answers or have left.

    A step that gives a caller StopAsyncIteration in place of a list ends theirs, and others go on.
    """
    steps = engine.stream([caller.question for caller in callers], lambda row: callers[row].gone.is_set())
    going = set(range(len(callers)))
    while going := {row for row in going if not callers[row].gone.is_set()}:
        found: list[Items] = [[] for _ in callers]
        for row, item in await asyncio.get_running_loop().run_in_executor(thread, _next, steps):
            found[row].append(item)
        yield found
        ended = {row for row, items in enumerate(found) if any(not isinstance(item, Piece) for item in items)}
        going -= ended
        if ended and going:
            # Serve closes those whose turn brings this.
            yield [StopAsyncIteration if row in ended else [] for row in range(len(callers))]


def _next(steps: Iterator[Any]) -> Any:
    # A StopIteration must not cross into a coroutine; a stream that ends too early is an error of the engine.
    try:
        return next(steps)
    except StopIteration:
        raise RuntimeError("the engine ended before all its answers") from None


class Voice:
    """Speaks replies."""

    def __init__(self, synthesizer: str) -> None:
        from rapport.models.backends.synthesizers import load_synthesizer

        self._speaker = Speaker(load_synthesizer(synthesizer))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="voice")

    async def speak(self, order: SpeechOrder) -> bytes:
        """As `DialogueService.speak`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._speaker.speak, order)

    async def voices(self) -> list[str]:
        """As `DialogueService.voices`."""
        return list(self._speaker.names)


class DeployedService:
    """A `DialogueService` whose parts are deployments; a full queue becomes 429."""

    def __init__(self, model: DeploymentHandle, voice: DeploymentHandle, transcriber: DeploymentHandle | None) -> None:
        self._model = model
        self._streaming = model.options(stream=True)
        self._voice = voice
        self._transcriber = transcriber

    async def reply(self, question: Question) -> Reply:
        """As `DialogueService.reply`."""
        return await queued(self._model.reply.remote(question))

    async def stream(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """As `DialogueService.stream`."""
        call = self._streaming.stream.remote(question)
        ended = False
        try:
            async for item in queued_items(call):
                ended = isinstance(item, Reply)
                yield item
        except (asyncio.CancelledError, GeneratorExit):
            if not ended:
                # A stream that is only dropped goes on at its other end.
                call.cancel()
            raise

    async def speak(self, order: SpeechOrder) -> bytes:
        """As `DialogueService.speak`."""
        return await queued(self._voice.speak.remote(order))

    async def transcribe(self, samples: np.ndarray) -> str:
        """As `DialogueService.transcribe`."""
        assert self._transcriber is not None
        return await queued(self._transcriber.transcribe.remote(samples))

    async def facts(self) -> ModelFacts:
        """As `DialogueService.facts`."""
        return await queued(self._model.facts.remote())

    async def voices(self) -> list[str]:
        """As `DialogueService.voices`."""
        return await queued(self._voice.voices.remote())


@serve.ingress()
class DialogueIngress:
    """The HTTP front: requests, decoding, limits, pages."""

    def __init__(
        self,
        model: DeploymentHandle,
        voice: DeploymentHandle,
        transcriber: DeploymentHandle | None,
        settings: Mapping[str, Any],
        key_digest: str | None,
    ) -> None:
        self._service = DeployedService(model, voice, transcriber)
        self._transcribes = transcriber is not None
        self._settings = DialogueSettings.model_validate(settings)
        self._key_digest = key_digest

    def __serve_build_asgi_app__(self) -> FastAPI:
        from rapport.serve_apps.spoken_dialogue.api import build_api

        return build_api(self._service, self._settings, key_digest=self._key_digest, transcribes=self._transcribes)
