"""`GET /healthz` of every app: something went through the model just now."""

import logging
from typing import Any

from fastapi import FastAPI

from rapport.serve_apps.http.answers import Health, errors
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.waiting import Recent

logger = logging.getLogger("ray.serve")


def add_health(api: FastAPI, health: Recent[Any], answer: type[Health] = Health) -> None:
    """Answer what `health` finds, and 503 when it finds nothing. Needs no key: who probes a server has none."""

    @api.get("/healthz", response_model=answer, responses=errors(503), tags=["health"], summary="Health")
    async def healthz() -> Any:
        """Sends something short through the model; 503 when that fails."""
        try:
            return await health.get()
        except ApiError:
            raise
        except Exception as error:
            logger.exception("the model does not answer")
            raise ApiError(503, "the model does not answer") from error
