"""Emotions in conversations over HTTP: POST /v1/dialogues/emotions, GET /v1/models, /healthz, /docs and a page at /.

    python -m rapport.ray_jobs.serve_app --app erc --model ~/rapport/models/coe/NAME      # this computer
    python -m rapport.ray_jobs.serve_app --app erc --adapters ~/rapport/models/coe        # and adapters of its base, each by its name
    serve deploy serve_apps/deploy/erc.yaml                                               # a cluster

    client -> proxy -> ConversationIngress (JSON, limits) -> ConversationModel (lines in batches, reasons token by token)

The base model is loaded once in each copy; adapters are exchanged on it, and the ones used last stay in memory.
"""

from typing import TYPE_CHECKING

from pydantic import Field

from rapport.core.config import Config
from rapport.models.erc.model_config import EngineConfig, ScoringConfig
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.http.settings import Replicas, front

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application


class Batching(Config):
    """How lines of several requests go through the model together."""

    max_batch_size: int = Field(default=64, ge=1)
    """Most lines that are judged together."""
    max_rationales: int = Field(default=8, ge=1)
    """Most reasons that are written at the same time; memory for their caches grows with it."""
    wait_s: float = Field(default=0.0, ge=0, le=1)
    """How long a line waits for company. With 0 a lone request is never delayed, and lines that come while the model is busy still
    share the next batch."""


class Args(Config):
    """What `build_app` takes."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest in the storage root of the replica's own computer."""
    adapters: str = ""
    """Folder or URI whose folders are adapters of the same base model, each served as `<model id>:<folder name>`; one that does not fit is
    told in the log and left out. Empty serves none."""
    base: str = ""
    """Where the base model of the adapters lies now; empty is where it lay when they were trained."""
    corpus: str = ""
    """What the model learned from, for a model folder that tells several corpora or none: meld, emorynlp or iemocap."""
    engine: EngineConfig = EngineConfig()
    """What computes, and where."""
    scoring: ScoringConfig = ScoringConfig()
    """How labels are weighed."""
    max_adapters: int = Field(default=8, ge=1)
    """Most adapters in the memory of a copy; of more, the one that was used longest ago goes."""
    endpoints: ConversationSettings = ConversationSettings()
    """What the endpoint accepts."""
    batching: Batching = Batching()
    """How lines share batches."""
    replicas: Replicas = Replicas()
    """Copies of the model."""
    ingress_replicas: int = Field(default=1, ge=1)
    """Copies of the HTTP front."""


def build_app(args: Args) -> "Application":
    """The application of these settings. Reads nothing but the environment (`RAPPORT_API_KEY`); the model loads in its replica."""
    from ray import serve

    from rapport.serve_apps.conversation_emotion.deployments import ConversationIngress, ConversationModel
    from rapport.serve_apps.http.auth import key_digest

    pending = args.endpoints.requests.max_pending
    model = serve.deployment(**args.replicas.options(pending, at_once=args.batching.max_batch_size))(ConversationModel).bind(
        args.model_dump(mode="json", include={"model", "adapters", "base", "corpus", "engine", "scoring"}),
        args.batching.model_dump(),
        args.max_adapters,
        args.endpoints.max_rationale_tokens,
    )
    return serve.deployment(**front(args.ingress_replicas, pending))(ConversationIngress).bind(
        model, args.endpoints.model_dump(mode="json"), key_digest()
    )


def interface(args: Args) -> "FastAPI":
    """The HTTP interface of these settings with no model behind it: what `/docs` shows."""
    from rapport.serve_apps.conversation_emotion.answers import NoService
    from rapport.serve_apps.conversation_emotion.api import build_api

    return build_api(NoService(), args.endpoints)


def check_args(args: Args, storage: str) -> Args:
    """The settings with the model named. Raises RapportError when there is no such model: sooner and plainer than a replica can."""
    from rapport.models.find import find_model

    return args.model_copy(update={"model": find_model(args.model, "coe", storage)})
