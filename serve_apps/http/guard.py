"""The whole protection of an app, in the one right order."""

from collections.abc import Iterable

from fastapi import FastAPI
from pydantic import Field
from rapport.serve_apps.http import errors
from rapport.serve_apps.http.auth import RequireKey
from rapport.serve_apps.http.errors import CatchUnforeseen
from rapport.serve_apps.http.limits import LimitBody, LimitConcurrency

from rapport.core.config import Config


class RequestLimits(Config):
    """What an app bears from its clients."""

    max_upload_mib: float = Field(default=25.0, gt=0, le=4096)
    """Larger bodies are refused with 413 before they are read, or at the byte that is too many."""
    upload_timeout_s: float = Field(default=60.0, gt=0)
    """A body that takes longer to arrive is refused with 408."""
    max_pending: int = Field(default=64, ge=1)
    """Requests for work under way per ingress replica, waiting ones included; the next one gets 429."""
    request_timeout_s: float = Field(default=30.0, gt=0)
    """A request that takes longer once its body is here is answered with 503."""


def protect(app: FastAPI, limits: RequestLimits, *, key_digest: str | None, open_paths: Iterable[str] = ()) -> None:
    """Put an app behind its key and its limits, and make each of its errors an error object. Call it last."""
    errors.install(app)
    # The last one added is the outermost: a key is asked for before anything is counted, a place is taken before a byte is read.
    app.add_middleware(LimitBody, max_bytes=round(limits.max_upload_mib * 2**20), timeout_s=limits.upload_timeout_s)
    app.add_middleware(LimitConcurrency, max_requests=limits.max_pending)
    app.add_middleware(RequireKey, digest=key_digest, open_paths=open_paths)
    app.add_middleware(CatchUnforeseen)
