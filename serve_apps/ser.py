"""Speech emotion over HTTP: POST /v1/audio/emotions, GET /v1/models, /healthz, /docs and a page at /.

    python -m rapport.ray_jobs.serve_app --app ser --model ~/rapport/models/ser/NAME      # this computer
    serve deploy serve_apps/deploy/ser.yaml                                               # a cluster

    client -> proxy -> EmotionIngress (form, decode, limits) -> EmotionModel (batches of like length)
                                                             -> EmotionTranscriber, when a request asks for the words

The ingress decodes on CPUs and the model computes on its own, so that each scales alone; a request passes two hops.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.serve_apps.speech_emotion.settings import EmotionSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application


class Replicas(Config):
    """How many copies of the model there are, and what each one holds."""

    min_replicas: int = Field(default=1, ge=1)
    """Copies when idle."""
    max_replicas: int = Field(default=1, ge=1)
    """Copies under load; more than the least switches autoscaling on."""
    target_ongoing_requests: float = Field(default=8.0, gt=0)
    """A copy is added when each has more requests than this, on average."""
    upscale_delay_s: float = Field(default=10.0, ge=0)
    """How long load must last before a copy is added."""
    downscale_delay_s: float = Field(default=300.0, ge=0)
    """How long it must be gone before one is taken away."""
    num_cpus: float = Field(default=1.0, ge=0)
    """CPUs that each copy reserves; a model on the CPU computes with this many threads."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that each copy reserves; a fraction shares one."""


class Batching(Config):
    """How clips of several requests go through the model together."""

    max_batch_size: int = Field(default=16, ge=1)
    """Most clips in a batch."""
    max_batch_s: float = Field(default=64.0, gt=0)
    """Most seconds of audio in a batch: long clips go in smaller batches."""
    wait_s: float = Field(default=0.0, ge=0, le=1)
    """How long a clip waits for company. With 0 a lone request is never delayed, and clips that come while the model is busy still
    share the next batch."""
    edges_s: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 13.0, 20.0)
    """Clips between two edges share batches, so that a short one is never padded to a long one."""


class Args(Config):
    """What `build_app` takes."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest in the storage root of the replica's own computer."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes."""
    transcriber: str = "pocketsphinx"
    """Who writes down the words: `pocketsphinx` (embedded), `whisper:<hub id or folder>`, or `off`."""
    endpoints: EmotionSettings = EmotionSettings()
    """What the endpoints accept."""
    batching: Batching = Batching()
    """How clips share batches."""
    replicas: Replicas = Replicas()
    """Copies of the model."""
    ingress_replicas: int = Field(default=1, ge=1)
    """Copies of the HTTP front, which decodes."""


def build_app(args: Args) -> "Application":
    """The application of these settings. Reads nothing but the environment (`RAPPORT_API_KEY`); the model loads in its replica."""
    from ray import serve

    from rapport.serve_apps.http.auth import key_digest
    from rapport.serve_apps.speech_emotion.deployments import EmotionIngress, EmotionModel, EmotionTranscriber

    if args.replicas.max_replicas < args.replicas.min_replicas:
        raise RapportError(f"replicas.max_replicas is {args.replicas.max_replicas}: wanted {args.replicas.min_replicas} or more")
    pending = args.endpoints.requests.max_pending
    refuse = {"status_code": 429, "retry_after_s": 1}
    scaling = args.replicas
    copies = (
        {"num_replicas": scaling.min_replicas}
        if scaling.max_replicas == scaling.min_replicas
        else {
            "autoscaling_config": scaling.model_dump(
                include={"min_replicas", "max_replicas", "target_ongoing_requests", "upscale_delay_s", "downscale_delay_s"}
            )
        }
    )
    model = serve.deployment(
        **copies,
        ray_actor_options={"num_cpus": scaling.num_cpus, "num_gpus": scaling.num_gpus},
        max_ongoing_requests=max(pending, args.batching.max_batch_size),
        max_constructor_retry_count=3,  # a model that does not load will not load the twentieth time either
        max_queued_requests=pending,
        backpressure_config=refuse,
    )(EmotionModel).bind(args.model, args.device, args.batching.model_dump())
    transcriber = None
    if args.transcriber != "off":
        transcriber = serve.deployment(
            ray_actor_options={"num_cpus": 0.25}, max_ongoing_requests=8, max_queued_requests=pending, backpressure_config=refuse
        )(EmotionTranscriber).bind(args.transcriber)
    # Reading takes no place in the ingress' own count, hence the room beyond it: the ingress, not the proxy, should refuse.
    return serve.deployment(
        num_replicas=args.ingress_replicas,
        ray_actor_options={"num_cpus": 0.25},  # so that the app fits on a computer with two cores
        max_ongoing_requests=2 * pending,
        max_queued_requests=2 * pending,
        backpressure_config=refuse,
    )(EmotionIngress).bind(model, transcriber, args.endpoints.model_dump(mode="json"), key_digest())


def interface(args: Args) -> "FastAPI":
    """The HTTP interface of these settings with no model behind it: what `/docs` shows."""
    from rapport.serve_apps.speech_emotion.answers import NoService
    from rapport.serve_apps.speech_emotion.api import build_api

    return build_api(NoService(), args.endpoints, transcribes=args.transcriber != "off")


def check_args(args: Args, storage: str) -> Args:
    """The settings with the model named. Raises RapportError when there is no such model: sooner and plainer than a replica can."""
    from rapport.models.find import find_model

    return args.model_copy(update={"model": find_model(args.model, "ser", storage)})
