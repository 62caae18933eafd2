"""Calls that do not end with the copy of a deployment that was to answer: what is asked here may be asked twice."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Any

from ray.exceptions import RayActorError

logger = logging.getLogger("ray.serve")

_TRIES, _PAUSE_S = 5, 0.2


class Steady:
    """Stands for the handle of a deployment whose methods change nothing; another copy is asked when one is lost before it answers."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def options(self, **options: Any) -> "Steady":
        """As of the handle."""
        return Steady(self._handle.options(**options))

    def __getattr__(self, method: str) -> "Steady":
        if method.startswith("_"):
            raise AttributeError(method)
        return Steady(getattr(self._handle, method))

    def remote(self, *arguments: Any) -> "SteadyCall":
        """As of the handle."""
        return SteadyCall(lambda: self._handle.remote(*arguments))


class SteadyCall:
    """A call, awaited or gone through. A stream of which something has come is not begun again."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin
        self._call = begin()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._items()

    def cancel(self) -> None:
        """Give up."""
        self._call.cancel()

    async def _result(self) -> Any:
        tries = 0
        while True:
            try:
                return await self._call
            except RayActorError as error:
                tries = await self._again(tries, error)

    async def _items(self) -> AsyncGenerator[Any]:
        tries, begun = 0, False
        while True:
            try:
                async for item in self._call:
                    begun = True
                    yield item
                return
            except RayActorError as error:
                if begun:
                    raise
                tries = await self._again(tries, error)

    async def _again(self, tries: int, error: RayActorError) -> int:
        """Ask another copy. Raises the error once there were enough."""
        if tries + 1 >= _TRIES:
            raise error
        logger.warning("a copy of a deployment was lost while it worked: asking another (%s)", type(error).__name__)
        await asyncio.sleep(_PAUSE_S * 2**tries)
        self._call = self._begin()
        return tries + 1
