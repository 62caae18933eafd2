"""Answers that come in time or not at all, and answers that stay good for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from rapport.core.errors import RapportError
from rapport.serve_apps.http.errors import ApiError

T = TypeVar("T")


async def asked(work: Awaitable[T]) -> T:
    """The result of a service's work, whose errors that a client can mend become a 400."""
    try:
        return await work
    except RapportError as error:
        raise ApiError(400, str(error)) from error


async def in_time(work: Awaitable[T], timeout_s: float) -> T:
    """The result of the work. Raises ApiError (503) when it takes longer; the work is then given up."""
    try:
        return await asyncio.wait_for(work, timeout_s)
    except TimeoutError as error:
        raise too_slow(timeout_s) from error


def too_slow(timeout_s: float) -> ApiError:
    """503 with `Retry-After`, for an answer that did not come."""
    return ApiError(503, f"no answer within {timeout_s:g} s (request_timeout_s)", code="timeout", headers={"Retry-After": "1"})


class Recent(Generic[T]):
    """A value that is found out again when it is older than `kept_s`; a failure is not kept."""

    def __init__(self, find: Callable[[], Awaitable[T]], kept_s: float) -> None:
        self._find = find
        self._kept_s = kept_s
        self._found: tuple[float, T] | None = None

    async def get(self) -> T:
        """The value."""
        if self._found is None or time.monotonic() - self._found[0] > self._kept_s:
            value = await self._find()
            self._found = time.monotonic(), value
        return self._found[1]
