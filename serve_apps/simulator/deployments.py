"""What the app for simulator services deploys: one deployment for each kind of service, and the HTTP front."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from rapport.serve_apps.http.queues import queued
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.simulator.answers import ServiceFacts
from rapport.simulator.callers import answer_callers
from rapport.simulator.requests import Result


class SimulatorService:
    """One kind of service. One thread computes, so that health checks are answered meanwhile."""

    def __init__(
        self, kind: str, config: Mapping[str, Any], task: str, words: Mapping[str, Sequence[str]], max_batch_size: int, wait_s: float
    ) -> None:
        from rapport.core.storage import content_key
        from rapport.models.spolacq.services import load_service, read_words
        from rapport.models.spolacq.services_config import ServicesConfig

        known = {name: tuple(said) for name, said in words.items()} if words else read_words(task)
        self._service = load_service(kind, ServicesConfig.model_validate(config), known)
        self._words = content_key(known)
        self._created = int(time.time())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="service")

        async def answer(asked: list[Sequence[Any]]) -> Sequence[list[Result] | Exception]:
            return await asyncio.get_running_loop().run_in_executor(self._thread, answer_callers, self._service, asked)

        decorate: Any = serve.batch(max_batch_size=max_batch_size, batch_wait_timeout_s=wait_s)
        self._answer = decorate(answer)

    async def batch(self, requests: Sequence[Any]) -> list[Result]:
        """As the service's own; callers share batches."""
        found: list[Result] | Exception = await self._answer(requests)
        if isinstance(found, Exception):
            raise found
        return found

    async def facts(self) -> ServiceFacts:
        """What it is, and what its cache has spared."""
        from rapport.simulator.cache import Cached, unread_by

        calls = self._service.stats.report() if isinstance(self._service, Cached) else {}
        version, deterministic = self._service.version, self._service.deterministic
        return ServiceFacts(version, deterministic, unread_by(self._service), self._words, self._created, calls)


@serve.ingress()
class SimulatorIngress:
    """The HTTP front: facts, limits, pages."""

    def __init__(self, services: Mapping[str, DeploymentHandle], limits: Mapping[str, Any], key_digest: str | None) -> None:
        self._services = services
        self._limits = RequestLimits.model_validate(limits)
        self._key_digest = key_digest

    def __serve_build_asgi_app__(self) -> FastAPI:
        from rapport.serve_apps.simulator.api import build_api

        facts = {kind: partial(_facts, handle) for kind, handle in self._services.items()}
        return build_api(facts, self._limits, key_digest=self._key_digest)


async def _facts(handle: DeploymentHandle) -> ServiceFacts:
    facts: ServiceFacts = await queued(handle.facts.remote())
    return facts
