"""Head motion of a listener over HTTP: POST /v1/audio/head-motion for recordings, a WebSocket at /v1/audio/head-motion/stream for speech as
it is spoken, GET /v1/models, /healthz, /docs and a page at /.

    python -m rapport.ray_jobs.serve_app --app head_motion --model ~/rapport/models/listener/NAME      # this computer
    serve deploy serve_apps/deploy/head_motion.yaml                                                    # a cluster

    client -> proxy -> HeadMotion (many streams, moved together; recordings on a thread of their own)

One deployment holds front and model, because each piece of a stream would pay for a second hop; copies of it share the clients.
"""

from typing import TYPE_CHECKING

from rapport.core.config import Config
from rapport.serve_apps.http.settings import Replicas
from rapport.serve_apps.listener.settings import MotionSettings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from ray.serve import Application

STREAMS = True
"""Connections last as long as clients talk: no timeout of the proxy may end them."""


class Args(Config):
    """What `build_app` takes."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest in the storage root of the replica's own computer."""
    endpoints: MotionSettings = MotionSettings()
    """What the endpoints accept."""
    replicas: Replicas = Replicas(target_ongoing_requests=24.0)
    """Copies of front and model; a stream counts as a request."""


def build_app(args: Args) -> "Application":
    """The application of these settings. Reads nothing but the environment (`RAPPORT_API_KEY`); the model loads in its replica."""
    from ray import serve

    from rapport.serve_apps.http.auth import key_digest
    from rapport.serve_apps.listener.deployments import HeadMotion

    # Twice as many as are served: the replica, not the proxy, should refuse what is too much, and tell when to come back.
    at_once = 2 * (args.endpoints.stream.max_sessions + args.endpoints.requests.max_pending)
    return serve.deployment(**args.replicas.options(at_once))(HeadMotion).bind(
        args.model, args.endpoints.model_dump(mode="json"), key_digest()
    )


def interface(args: Args) -> "FastAPI":
    """The HTTP interface of these settings with no model behind it: what `/docs` shows."""
    from rapport.serve_apps.listener.answers import NoService
    from rapport.serve_apps.listener.api import build_api

    return build_api(NoService(), args.endpoints)


def check_args(args: Args, storage: str) -> Args:
    """The settings with the model named. Raises RapportError when there is no such model: sooner and plainer than a replica can."""
    from rapport.models.find import find_model

    return args.model_copy(update={"model": find_model(args.model, "listener", storage)})
