"""Calls of other deployments, whose full queues become 429."""

from typing import Any

from ray.serve.exceptions import BackPressureError

from rapport.serve_apps.http.errors import busy


async def queued(call: Any) -> Any:
    """The result of a call of a deployment. Raises ApiError (429) when its queue is full."""
    try:
        return await call
    except BackPressureError as error:
        raise busy(str(error)) from error
