"""The services of a dialogue simulator (judge, ears, voice, pictures) on Ray Serve, for environments anywhere in the cluster.

    python -m rapport.ray_jobs.serve_app --app simulator_services --task cafe
    serve deploy serve_apps/deploy/simulator_services.yaml

    env runner -> handle -> SimulatorService (callers in batches, a cache before the engine)
    person -> proxy -> SimulatorIngress: GET /v1/models (engines, calls, hit rates), /healthz, /docs and a page at /

Environments call the deployments by their handles; HTTP only tells how they are.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from rapport.core.config import Config
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.serve_apps.http.settings import Replicas, RequestLimits, front

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

KINDS = ("judge", "ears", "voice", "pictures")


class ServiceReplicas(Replicas):
    """Copies of one kind of service, and how its callers share batches."""

    num_cpus: float = Field(default=0.25, ge=0)
    """CPUs that each copy reserves; a model on the CPU computes with this many threads."""
    max_batch_size: int = Field(default=16, ge=1)
    """Most callers who are answered in one batch; each brings the requests of all its sessions."""
    wait_s: float = Field(default=0.0, ge=0, le=1)
    """How long a caller waits for company. With 0 a lone one is never delayed, and those who come while the engine is busy still share
    the next batch."""


class Args(Config):
    """What `build_app` takes."""

    task: str = "cafe"
    """Whose items are asked for: a task that comes with Rapport, a folder or a URI; of its files only the scenario and the utterance
    patterns are read."""
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """How each item is asked for, by its name; empty reads that from the task."""
    services: ServicesConfig = ServicesConfig()
    """The engines."""
    judge: ServiceReplicas = ServiceReplicas()
    """Copies of the judge."""
    ears: ServiceReplicas = ServiceReplicas()
    """Copies of the ears."""
    voice: ServiceReplicas = ServiceReplicas()
    """Copies of the voice."""
    pictures: ServiceReplicas = ServiceReplicas()
    """Copies of the maker of pictures."""
    requests: RequestLimits = RequestLimits(max_upload_mib=1)
    """What the HTTP front bears."""
    ingress_replicas: int = Field(default=1, ge=1)
    """Copies of the HTTP front."""


def build_app(args: Args) -> "Application":
    """The application of these settings. Reads nothing but the environment (`RAPPORT_API_KEY`); engines load in their replicas."""
    from ray import serve

    from rapport.serve_apps.http.auth import key_digest
    from rapport.serve_apps.simulator.deployments import SimulatorIngress, SimulatorService

    services = {}
    for kind in KINDS:
        replicas: ServiceReplicas = getattr(args, kind)
        # Callers are env runners, which wait for one batch at a time: nobody floods the queue, and to refuse one would lose an episode.
        options = {**replicas.options(0, at_once=4 * replicas.max_batch_size), "max_queued_requests": -1}
        services[kind] = serve.deployment(name=kind, **options)(SimulatorService).bind(
            kind,
            args.services.model_dump(mode="json"),
            args.task,
            args.words,
            replicas.max_batch_size,
            replicas.wait_s,
        )
    return serve.deployment(**front(args.ingress_replicas, args.requests.max_pending))(SimulatorIngress).bind(
        services, args.requests.model_dump(mode="json"), key_digest()
    )


def interface(args: Args) -> "FastAPI":
    """The HTTP interface of these settings with no service behind it: what `/docs` shows."""
    from rapport.serve_apps.simulator.api import build_api

    return build_api({}, args.requests)
