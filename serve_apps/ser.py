"""Speech emotion over HTTP: POST /v1/audio/emotions, GET /v1/models, /healthz, /docs and a page at /.

    python -m rapport.ray_jobs.serve_app --app ser --model ~/rapport/models/ser/NAME      # this computer
    serve deploy serve_apps/deploy/ser.yaml                                               # a cluster

    client -> proxy -> EmotionIngress (form, decode, limits) -> EmotionModel (batches of like length)
                                                             -> Transcriber, when a request asks for the words

The ingress decodes on CPUs and the model computes on its own, so that each scales alone; a request passes two hops.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.serve_apps.http.settings import Replicas, front
from rapport.serve_apps.speech_emotion.settings import EmotionSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application


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
    from rapport.serve_apps.http.transcriber import bind_transcriber
    from rapport.serve_apps.speech_emotion.deployments import EmotionIngress, EmotionModel

    pending = args.endpoints.requests.max_pending
    model = serve.deployment(**args.replicas.options(pending, at_once=args.batching.max_batch_size))(EmotionModel).bind(
        args.model, args.device, args.batching.model_dump()
    )
    transcriber = bind_transcriber(args.transcriber, pending)
    return serve.deployment(**front(args.ingress_replicas, pending))(EmotionIngress).bind(
        model, transcriber, args.endpoints.model_dump(mode="json"), key_digest()
    )


def interface(args: Args) -> "FastAPI":
    """The HTTP interface of these settings with no model behind it: what `/docs` shows."""
    from rapport.serve_apps.speech_emotion.answers import NoService
    from rapport.serve_apps.speech_emotion.api import build_api

    return build_api(NoService(), args.endpoints, transcribes=args.transcriber != "off")


def check_args(args: Args, storage: str) -> Args:
    """The settings with the model named. Raises RapportError when there is no such model: sooner and plainer than a replica can."""
    from rapport.models.find import find_model

    return args.model_copy(update={"model": find_model(args.model, "ser", storage)})
