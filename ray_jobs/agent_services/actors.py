"""Services as named Ray actors, found by every env runner of the job and shared by all.

An actor that dies comes back, and the batches that were under way are given to it again: services have no state but their caches.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError

from rapport.core.errors import RapportError
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_services.client import Answer, Identity, RemoteService, own_errors
from rapport.ray_jobs.agent_services.config import HostsConfig
from rapport.ray_jobs.agent_services.together import Together
from rapport.simulator.cache import Cached, unread_by
from rapport.simulator.requests import Result, Service


class ServiceActor:
    """One copy of one kind of service."""

    def __init__(self, kind: str, config: Mapping[str, Any], words: Mapping[str, tuple[str, ...]], max_batch_size: int) -> None:
        self._made_of = kind, config, words, max_batch_size

    async def batch(self, requests: Sequence[Any]) -> list[Result]:
        """As the service's own; callers who come while it is busy share the next batch."""
        return await self._together.batch(requests)

    async def describe(self) -> Identity:
        """What tells the service from others, and what of its answers may be kept."""
        return Identity(self._service.version, self._service.deterministic, unread_by(self._service))

    async def report(self) -> dict[str, float]:
        """What its cache has spared, as `CacheStats.report`; empty without a cache."""
        return self._service.stats.report() if isinstance(self._service, Cached) else {}

    # Loaded by the first call, and again by the first after a restart: an error in a constructor would reach nobody as it was raised.
    @cached_property
    def _service(self) -> Service[Any]:
        from rapport.models.spolacq.services import load_service

        kind, config, words, _ = self._made_of
        return load_service(kind, ServicesConfig.model_validate(config), words)

    @cached_property
    def _together(self) -> Together[Any]:
        return Together(self._service, self._made_of[3])


@contextmanager
def running_actors(
    group: str, config: ServicesConfig, words: Mapping[str, tuple[str, ...]], hosts: HostsConfig
) -> Iterator[dict[str, list[ActorHandle]]]:
    """The actors of each kind, ready to answer, named for a group; killed on leaving.

    Raises RapportError when an engine cannot be loaded, or there are no resources for an actor within `hosts.timeout_s`.
    """
    actors: dict[str, list[ActorHandle]] = {}
    try:
        for kind in hosts.kinds:
            started = actors.setdefault(kind, [])
            for number in range(getattr(hosts, kind).replicas):
                started.append(_start(_name(group, kind, number), group, kind, config, words, hosts))
        for started_kind, handles in actors.items():
            _wait(started_kind, handles, hosts)
        yield actors
    finally:
        for handle in (handle for handles in actors.values() for handle in handles):
            ray.kill(handle)


def connect_actors(group: str, kind: str, hosts: HostsConfig) -> RemoteService[Any]:
    """The service that the actors of a group are. Raises RapportError when there is no such group in this cluster."""
    try:
        handles = [ray.get_actor(_name(group, kind, number), namespace=group) for number in range(getattr(hosts, kind).replicas)]
    except ValueError as error:
        raise RapportError(f"no actors of {group!r} for {kind}: they end with the job that started them") from error
    return RemoteService(_describe(handles[0], hosts), [partial(_begin, handle, hosts.timeout_s) for handle in handles])


def actor_reports(actors: Mapping[str, Sequence[ActorHandle]]) -> dict[str, dict[str, float]]:
    """What the caches of each kind of actors have spared together; kinds without a cache are left out."""
    found = {}
    for kind, handles in actors.items():
        reports: list[dict[str, float]] = ray.get([handle.report.remote() for handle in handles])
        totals = {key: sum(report.get(key, 0) for report in reports) for key in ("asked", "memory", "disk", "answered")}
        if any(reports):
            found[kind] = {**totals, "hit_rate": (totals["memory"] + totals["disk"]) / max(1, totals["asked"])}
    return found


def _start(
    name: str, group: str, kind: str, config: ServicesConfig, words: Mapping[str, tuple[str, ...]], hosts: HostsConfig
) -> ActorHandle:
    hosted = getattr(hosts, kind)
    actor: Any = ray.remote(ServiceActor)
    handle: ActorHandle = actor.options(
        name=name,
        namespace=group,
        num_cpus=hosted.num_cpus,
        num_gpus=hosted.num_gpus,
        max_restarts=-1,
        max_task_retries=hosts.retries,
    ).remote(kind, config.model_dump(mode="json"), dict(words), hosted.max_batch_size)
    return handle


def _name(group: str, kind: str, number: int) -> str:
    return f"{group}/{kind}/{number}"


def _begin(handle: ActorHandle, timeout_s: float, requests: Sequence[Any]) -> Answer:
    answer: Any = handle.batch.remote(requests)
    return lambda: ray.get(answer, timeout=timeout_s)


def _describe(handle: ActorHandle, hosts: HostsConfig) -> Identity:
    described: Identity = own_errors(lambda: ray.get(handle.describe.remote(), timeout=hosts.timeout_s))
    return described


def _wait(kind: str, handles: Sequence[ActorHandle], hosts: HostsConfig) -> None:
    try:
        for handle in handles:
            _describe(handle, hosts)
    except GetTimeoutError as error:
        hosted = getattr(hosts, kind)
        raise RapportError(
            f"{kind} did not start within {hosts.timeout_s:g} s (hosts.timeout_s): {hosted.replicas} x {hosted.num_cpus:g} CPUs and "
            f"{hosted.num_gpus:g} GPUs (hosts.{kind}), and the cluster has {ray.available_resources()} free"
        ) from error
