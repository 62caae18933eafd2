"""What the spoken dialogue app deploys: the HTTP front, the model, the voice. `serve_apps/sds.py` sizes them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import DialogueEngine, Question, Reply
from rapport.serve_apps.http.queues import queued, queued_items
from rapport.serve_apps.http.together import batched, items_of
from rapport.serve_apps.spoken_dialogue.answers import ModelFacts
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from rapport.serve_apps.spoken_dialogue.voices import Speaker, SpeechOrder


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
        self._answers = batched(self._engine.stream, Piece, self._thread, max_batch_size, wait_s)
        # The first call is slow (kernels are chosen): not at the cost of the first client.
        self._engine.reply([Question(np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32), replies=False)])

    async def reply(self, question: Question) -> Reply:
        """As `DialogueService.reply`."""
        reply: Reply | None = None
        async for item in self.stream(question):  # to its end: Serve complains of a batch that is left at its last item
            reply = item if isinstance(item, Reply) else reply
        if reply is None:
            raise RuntimeError("the engine ended without an answer")
        return reply

    async def stream(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        """As `DialogueService.stream`."""
        # What came through Ray is read-only, which torch warns of.
        async with aclosing(items_of(self._answers, replace(question, samples=np.array(question.samples)))) as items:
            async for item in items:
                yield item

    async def facts(self) -> ModelFacts:
        """As `DialogueService.facts`."""
        return self._facts


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
        async with aclosing(queued_items(call, ends=lambda item: isinstance(item, Reply))) as items:
            async for item in items:
                yield item

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
