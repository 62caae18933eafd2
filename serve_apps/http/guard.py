"""The whole protection of an app, in the one right order."""

from collections.abc import Iterable

from fastapi import FastAPI

from rapport.serve_apps.http import errors
from rapport.serve_apps.http.auth import RequireKey
from rapport.serve_apps.http.errors import CatchUnforeseen
from rapport.serve_apps.http.limits import LimitBody, LimitConcurrency
from rapport.serve_apps.http.settings import RequestLimits


def protect(app: FastAPI, limits: RequestLimits, *, key_digest: str | None, open_paths: Iterable[str] = ()) -> None:
    """Put an app behind its key and its limits, and make each of its errors an error object. Call it last."""
    errors.install(app)
    # The last one added is the outermost: a key is asked for before anything is counted, a place is taken before a byte is read.
    app.add_middleware(LimitBody, max_bytes=round(limits.max_upload_mib * 2**20), timeout_s=limits.upload_timeout_s)
    app.add_middleware(LimitConcurrency, max_requests=limits.max_pending)
    app.add_middleware(RequireKey, digest=key_digest, open_paths=open_paths)
    app.add_middleware(CatchUnforeseen)
