"""Calls of other deployments: full queues become 429, lost copies 503, and errors that a client can mend come as they were raised."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError

from rapport.core.errors import RapportError
from rapport.serve_apps.http.errors import ApiError, busy


async def queued(call: Any) -> Any:
    """The result of a call of a deployment. Raises ApiError (429) when its queue is full, (503) when the copy that worked is lost."""
    with _own_errors():
        return await call


async def queued_items(call: Any, ends: Callable[[Any], bool]) -> AsyncGenerator[Any]:
    """The items of a streaming call of a deployment. Raises ApiError as `queued` does.

    `ends` knows the last item. Who leaves before it has the call cancelled: a stream that is only dropped goes on at its other end.
    """
    ended = False
    try:
        with _own_errors():
            async for item in call:
                ended = ends(item)
                yield item
    except (asyncio.CancelledError, GeneratorExit):
        if not ended:
            call.cancel()
        raise


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except BackPressureError as error:
        raise busy(str(error)) from error
    except RayActorError as error:
        raise ApiError(503, "a part of this server was lost while it worked: ask again", headers={"Retry-After": "1"}) from error
    except RayTaskError as error:
        # Ray's error tells the whole trace of the other process.
        if isinstance(error.cause, RapportError):
            raise error.cause from None
        raise
