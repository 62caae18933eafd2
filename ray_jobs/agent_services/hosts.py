"""Services where a job wants them, and a ticket by which env runners find them.

with host_services(config, task, hosts) as place:
    ...                                    # `place` travels to the env runners
    services = place.open()                # in each of them
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rapport.models.spolacq.services import load_service, with_cache, words_of
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_services.config import HostsConfig
from rapport.simulator.requests import KINDS, Service, Services

if TYPE_CHECKING:
    from rapport.simulator.task import Task


@dataclass(frozen=True)
class ServicePlace:
    """Where the services of a task are. It holds no engine and may be sent to any process of the job."""

    config: ServicesConfig
    words: Mapping[str, tuple[str, ...]]
    hosts: HostsConfig
    group: str = field(default_factory=lambda: f"services-{uuid4().hex[:8]}")
    """Names the actors of one job, so that several may share a cluster."""

    def open(self) -> Services:
        """The services, for the process that calls. What is hosted elsewhere has a cache in memory here, as well as its own there.

        Raises RapportError as `load_services`, and when the hosts have ended.
        """
        return Services(**{kind: self._open(kind) for kind in KINDS.values()})

    def _open(self, kind: str) -> Service[Any]:
        if self.hosts.where == "in_process" or kind not in self.hosts.kinds:
            return load_service(kind, self.config, self.words)
        service: Service[Any]
        if self.hosts.where == "actors":
            from rapport.ray_jobs.agent_services.actors import connect_actors

            service = connect_actors(self.group, kind, self.hosts)
        else:
            from rapport.ray_jobs.agent_services.serve import connect_app

            service = connect_app(kind, self.words, self.hosts)
        return with_cache(kind, service, self.config.cache.model_copy(update={"on_disk": ()}))


@contextmanager
def host_services(config: ServicesConfig, task: "Task", hosts: HostsConfig | None = None) -> Iterator[ServicePlace]:
    """Where the services of a task are, for as long as the block lasts.

    Raises RapportError when engines cannot be loaded, or there are no resources for them.
    """
    place = ServicePlace(config, words_of(task), hosts or HostsConfig())
    if place.hosts.where == "actors":
        from rapport.ray_jobs.agent_services.actors import running_actors

        with running_actors(place.group, config, place.words, place.hosts):
            yield place
    elif place.hosts.where == "serve":
        from rapport.ray_jobs.agent_services.serve import running_app

        with running_app(config, place.words, place.hosts):
            yield place
    else:
        yield place
