"""Spoken dialogue over HTTP, in OpenAI's shapes: POST /v1/chat/completions, /v1/audio/transcriptions and /v1/audio/speech, GET /v1/models,
/healthz, /docs and a page at /.

    python -m rapport.ray_jobs.serve_app --app sds --model ~/rapport/models/emosds/NAME      # this computer
    serve deploy serve_apps/deploy/sds.yaml                                                  # a cluster

    client -> proxy -> DialogueIngress (JSON, decode, limits) -> DialogueModel (questions in batches, answers token by token)
                                                              -> Voice, for a reply that is to be spoken, or a text
                                                              -> TranscriberReplica, when the model `asr` is asked for

The ingress decodes on CPUs and the model computes on its own, so that each scales alone; sound passes two hops on its way in, and two on
its way out.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.serve_apps.http.settings import Replicas, bounded, front
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application


class Decoding(Config):
    """How questions of several requests are answered together."""

    max_batch_size: int = Field(default=8, ge=1)
    """Most answers that are written at the same time; memory for their caches grows with it."""
    wait_s: float = Field(default=0.0, ge=0, le=1)
    """How long a question waits for company. With 0 a lone request is never delayed, and questions that come while the model is writing
    still share the next batch."""


class Args(Config):
    """What `build_app` takes."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest in the storage root of the replica's own computer, one
    that hears and replies before others."""
    codebook: str = ""
    """Folder or URI of its codebook, for a model folder that holds none."""
    encoder: str = ""
    """Where the weights of its speech encoder lie now; empty is where they lay when the codebook was fitted."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes."""
    voice: str = "espeak"
    """Who speaks: `espeak` (embedded), `kokoro` or `kokoro:<hub id or folder>` (pip install 'rapport[kokoro]')."""
    transcriber: str = "off"
    """Who answers for the model `asr`: `pocketsphinx` (embedded), `whisper:<hub id or folder>`, or `off`. The dialogue model itself
    transcribes without it."""
    endpoints: DialogueSettings = DialogueSettings()
    """What the endpoints accept."""
    decoding: Decoding = Decoding()
    """How answers share batches."""
    replicas: Replicas = Replicas(target_ongoing_requests=4.0)
    """Copies of the model."""
    voice_replicas: int = Field(default=1, ge=1)
    """Copies of the voice."""
    voice_gpus: float = Field(default=0.0, ge=0)
    """GPUs that each copy of the voice reserves; espeak needs none."""
    ingress_replicas: int = Field(default=1, ge=1)
    """Copies of the HTTP front, which decodes."""


def build_app(args: Args) -> "Application":
    """The application of these settings. Reads nothing but the environment (`RAPPORT_API_KEY`); the model loads in its replica."""
    from ray import serve

    from rapport.serve_apps.http.auth import key_digest
    from rapport.serve_apps.http.transcriber import bind_transcriber
    from rapport.serve_apps.spoken_dialogue.deployments import DialogueIngress, DialogueModel

    pending = args.endpoints.requests.max_pending
    model = serve.deployment(**args.replicas.options(pending, at_once=args.decoding.max_batch_size))(DialogueModel).bind(
        args.model_dump(include={"model", "codebook", "encoder", "device"}), args.decoding.max_batch_size, args.decoding.wait_s
    )
    voice = bind_voice(args.voice, args.voice_replicas, args.voice_gpus, pending)
    return serve.deployment(**front(args.ingress_replicas, pending))(DialogueIngress).bind(
        model, voice, bind_transcriber(args.transcriber, pending), args.endpoints.model_dump(mode="json"), key_digest()
    )


def bind_voice(name: str, replicas: int, gpus: float, max_pending: int) -> Any:
    """The deployment of a voice by the name that settings give it."""
    from ray import serve

    from rapport.serve_apps.spoken_dialogue.deployments import Voice

    return serve.deployment(
        num_replicas=replicas,
        ray_actor_options={"num_cpus": 0.25, "num_gpus": gpus},
        max_ongoing_requests=8,
        max_constructor_retry_count=3,
        **bounded(max_pending),
    )(Voice).bind(name)


def interface(args: Args) -> "FastAPI":
    """The HTTP interface of these settings with no model behind it: what `/docs` shows."""
    from rapport.serve_apps.spoken_dialogue.answers import NoService
    from rapport.serve_apps.spoken_dialogue.api import build_api

    return build_api(NoService(), args.endpoints, transcribes=args.transcriber != "off")


def check_args(args: Args, storage: str) -> Args:
    """The settings with the model named. Raises RapportError when there is no such model: sooner and plainer than a replica can."""
    from rapport.models.emosds.lineage import usefulness
    from rapport.models.find import find_model

    return args.model_copy(update={"model": find_model(args.model, "emosds", storage, best=usefulness)})
