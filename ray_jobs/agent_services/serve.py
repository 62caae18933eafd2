"""Services on Ray Serve: the app `simulator_services`, deployed for a job or found in the cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus

from rapport.core.errors import RapportError
from rapport.core.storage import content_key
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_services.client import Answer, Identity, RemoteService, own_errors
from rapport.ray_jobs.agent_services.config import HostedConfig, HostsConfig
from rapport.serve_apps.simulator.answers import ServiceFacts
from rapport.serve_apps.simulator_services import KINDS, Args, ServiceReplicas, build_app
from rapport.simulator.requests import Result

APP = "simulator_services"


@contextmanager
def running_app(config: ServicesConfig, words: Mapping[str, tuple[str, ...]], hosts: HostsConfig) -> Iterator[None]:
    """The app, ready to answer. One that was there is used as it is and left there; else it is deployed, and removed on leaving.

    Raises RapportError when its engines cannot be loaded.
    """
    found = serve.status().applications.get(APP)
    if found is not None and found.status == ApplicationStatus.RUNNING:
        yield
        return
    serve.start(proxy_location="Disabled")  # none of its callers comes by HTTP; a Serve that is there already stays as it is
    args = Args(words=dict(words), services=config, **{kind: _replicas(getattr(hosts, kind)) for kind in KINDS})
    try:
        serve.run(build_app(args), name=APP, route_prefix=f"/{APP}")
    except RuntimeError as error:
        status = serve.status().applications.get(APP)
        told = "\n".join(deployment.message for deployment in status.deployments.values()) if status else str(error)
        serve.delete(APP)
        raise RapportError(f"{APP} did not start: {told.strip()[-2000:]}") from error
    try:
        yield
    finally:
        serve.delete(APP)


def connect_app(kind: str, words: Mapping[str, tuple[str, ...]], hosts: HostsConfig) -> RemoteService[Any]:
    """The service that a deployment of the app is. Raises RapportError when it serves another task."""
    handle = serve.get_deployment_handle(kind, app_name=APP)
    # Replicas route their calls in the loop that they run in (`runtime.SERVE_ENVIRONMENT`, which workers inherit). Env runners have none;
    # Serve takes this from the environment or here, and nowhere else. It keeps one handle for a process.
    if not handle.is_initialized:
        handle._init(_run_router_in_separate_loop=True)
    facts: ServiceFacts = own_errors(lambda: handle.facts.remote().result(timeout_s=hosts.timeout_s))
    if facts.words != content_key(words):
        raise RapportError(f"the app {APP} in this cluster serves another task: deploy it for this one, or set hosts.where to actors")
    # Serve shares batches out by itself: as many shares as there are copies.
    copies = [partial(_begin, handle, hosts)] * getattr(hosts, kind).replicas
    return RemoteService(Identity(facts.version, facts.deterministic, facts.unread), copies)


def _replicas(hosted: HostedConfig) -> ServiceReplicas:
    return ServiceReplicas(
        min_replicas=hosted.replicas,
        max_replicas=hosted.replicas,
        num_cpus=hosted.num_cpus,
        num_gpus=hosted.num_gpus,
    )


def _begin(handle: DeploymentHandle, hosts: HostsConfig, requests: Sequence[Any]) -> Answer:
    first = handle.batch.remote(requests)
    return lambda: _wait(first, lambda: handle.batch.remote(requests), hosts)


def _wait(answer: Any, again: Callable[[], Any], hosts: HostsConfig) -> list[Result]:
    """The answer; a call whose replica died under it is given to another one."""
    for _ in range(hosts.retries):
        try:
            found: list[Result] = answer.result(timeout_s=hosts.timeout_s)
            return found
        except RayActorError:
            answer = again()
    last: list[Result] = answer.result(timeout_s=hosts.timeout_s)
    return last
