"""What the app for emotions in conversations deploys: the HTTP front and the model. `serve_apps/erc.py` sizes them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from rapport.core.errors import RapportError
from rapport.serve_apps.conversation_emotion.answers import SMALL_TALK, Done, Item, Judged, ModelFacts, Piece, Question, Reasons
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.http.queues import queued, queued_items
from rapport.serve_apps.http.together import Gone, batched, items_of, merged


class ConversationModel:
    """The model on one device, with adapters that take turns on it.

    One thread computes, in steps: a batch of lines to judge, or one token of reasons. So lines are judged while reasons are being written.
    """

    def __init__(self, model: Mapping[str, Any], batching: Mapping[str, Any], max_adapters: int, max_rationale_tokens: int) -> None:
        from rapport.models.erc.model_config import EngineConfig, ScoringConfig
        from rapport.models.find import find_model
        from rapport.serve_apps.conversation_emotion.engine import AskedLine, ConversationEngine

        where = {name: model[name] for name in ("adapters", "base", "corpus")}
        engine, scoring = EngineConfig.model_validate(model["engine"]), ScoringConfig.model_validate(model["scoring"])
        self._engine = ConversationEngine(find_model(model["model"], "coe"), **where, engine=engine, scoring=scoring)
        self._facts = ModelFacts(self._engine.facts, self._engine.adapters)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._at_once: int = batching["max_batch_size"]
        wait_s: float = batching["wait_s"]

        async def read_adapter(name: str) -> Any:
            # On the model's thread, whose engine it belongs to.
            return await self._run(self._engine.read, name)

        async def judge(lines: list[AskedLine]) -> Sequence[Judged | RapportError]:
            return await self._run(self._engine.judge, lines)

        # Serve keeps the adapters that were used last, sends their requests to copies that have them, and never batches two together.
        self._read = serve.multiplexed(max_num_models_per_replica=max_adapters)(read_adapter)
        decorate: Any = serve.batch(max_batch_size=self._at_once, batch_wait_timeout_s=wait_s)
        self._judge = decorate(judge)
        self._written_at_once: int = batching["max_rationales"]

        def reasons(lines: Sequence[AskedLine], gone: Gone) -> Iterator[Any]:
            return self._engine.reasons(lines, gone, max_rationale_tokens)

        self._reasons = batched(reasons, Piece, self._thread, self._written_at_once, wait_s)
        # The first call is slow (kernels are chosen): not at the cost of the first client.
        self._engine.judge(self._engine.lines(SMALL_TALK, self._engine.variant))

    async def answer(self, question: Question) -> list[Judged | Reasons]:
        """As `ConversationService.answer`."""
        items = [item async for item in self.stream(question) if isinstance(item, Judged | Reasons)]
        return sorted(items, key=lambda item: (item.dialogue, item.turn, isinstance(item, Reasons)))

    async def stream(self, question: Question) -> AsyncGenerator[Item]:
        """As `ConversationService.stream`."""
        variant = await self._read(question.adapter) if question.adapter else self._engine.variant
        lines = self._engine.lines(question, variant)
        # Of a long request no more than a batch waits at a time, which leaves room for others.
        for first in range(0, len(lines), self._at_once):
            for found in await asyncio.gather(*(self._judge(line) for line in lines[first : first + self._at_once])):
                if isinstance(found, RapportError):
                    raise found
                yield found
        if question.rationale:
            async with aclosing(merged([items_of(self._reasons, line) for line in lines], self._written_at_once)) as items:
                async for item in items:
                    yield item
        yield Done()

    async def facts(self) -> ModelFacts:
        """As `ConversationService.facts`."""
        return self._facts

    async def _run(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


class DeployedService:
    """A `ConversationService` that is a deployment; a full queue becomes 429."""

    def __init__(self, model: DeploymentHandle) -> None:
        self._model = model

    async def answer(self, question: Question) -> list[Judged | Reasons]:
        """As `ConversationService.answer`."""
        return await queued(self._asking(question).answer.remote(question))

    async def stream(self, question: Question) -> AsyncGenerator[Item]:
        """As `ConversationService.stream`."""
        call = self._asking(question).options(stream=True).stream.remote(question)
        async with aclosing(queued_items(call, ends=lambda item: isinstance(item, Done))) as items:
            async for item in items:
                yield item

    async def facts(self) -> ModelFacts:
        """As `ConversationService.facts`."""
        return await queued(self._model.facts.remote())

    def _asking(self, question: Question) -> DeploymentHandle:
        return self._model.options(multiplexed_model_id=question.adapter) if question.adapter else self._model


@serve.ingress()
class ConversationIngress:
    """The HTTP front: requests, limits, pages."""

    def __init__(self, model: DeploymentHandle, settings: Mapping[str, Any], key_digest: str | None) -> None:
        self._service = DeployedService(model)
        self._settings = ConversationSettings.model_validate(settings)
        self._key_digest = key_digest

    def __serve_build_asgi_app__(self) -> FastAPI:
        from rapport.serve_apps.conversation_emotion.api import build_api

        return build_api(self._service, self._settings, key_digest=self._key_digest)
