"""Callers who come while a service is busy share its next batch."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from rapport.simulator.callers import answer_callers
from rapport.simulator.requests import Request, Result, Service

R = TypeVar("R", bound=Request)


class Together(Generic[R]):
    """A service for callers of one event loop. One thread computes; a lone caller is never kept waiting for company."""

    def __init__(self, service: Service[R], max_batch_size: int) -> None:
        self._service = service
        self._most = max_batch_size
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="service")
        self._waiting: deque[tuple[Sequence[R], asyncio.Future[list[Result]]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def batch(self, requests: Sequence[R]) -> list[Result]:
        """As the service's `batch`."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Result]] = loop.create_future()
        self._waiting.append((requests, answer))
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._answer_all())
        return await answer

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            taken = self._next()
            found = await loop.run_in_executor(self._thread, answer_callers, self._service, [requests for requests, _ in taken])
            for (_, answer), results in zip(taken, found, strict=True):
                if answer.done():  # its caller has left
                    continue
                if isinstance(results, Exception):
                    answer.set_exception(results)
                else:
                    answer.set_result(results)

    def _next(self) -> list[tuple[Sequence[R], "asyncio.Future[list[Result]]"]]:
        """Those who came first, as many as fit into a batch."""
        taken = [self._waiting.popleft()]
        size = len(taken[0][0])
        while self._waiting and size + len(self._waiting[0][0]) <= self._most:
            taken.append(self._waiting.popleft())
            size += len(taken[-1][0])
        return taken
