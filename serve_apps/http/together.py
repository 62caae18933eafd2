"""Callers of a deployment who are answered in one batch, piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")

_END = object()

Gone = Callable[[int], bool]
"""Whether the caller of that number has left."""
Stream = Callable[[Sequence[Q], Gone], Iterator[Iterable[tuple[int, Any]]]]
"""Answers questions: at each step, which of them have something new and what. The last of a question is no piece."""


@dataclass(frozen=True, slots=True, eq=False)
class Caller(Generic[Q]):
    """Who waits for an answer."""

    question: Q
    gone: Event = field(default_factory=Event)
    """Set when nobody listens any more."""


def batched(stream: Stream[Q], piece: type, thread: ThreadPoolExecutor, max_batch_size: int, wait_s: float) -> Any:
    """A function that streams lists of what is new in the answer to one caller, who is answered in one batch with others that wait.

    What is no `piece` ends an answer. Works in a Serve replica alone.
    """
    from ray import serve

    async def answers(callers: list[Caller[Q]]) -> AsyncIterator[Sequence[Any]]:
        async for found in answered_together(stream, piece, thread, callers):
            yield found

    decorate: Any = serve.batch(max_batch_size=max_batch_size, batch_wait_timeout_s=wait_s)
    return decorate(answers)


async def items_of(answers: Any, question: Q) -> AsyncGenerator[Any]:
    """The items of the answer to one question, from what `batched` gives; an exception among them is raised.

    Who closes this leaves the batch.
    """
    caller = Caller(question)
    try:
        async for items in answers(caller):
            for item in items:
                if isinstance(item, Exception):
                    raise item
                yield item
    finally:
        caller.gone.set()


async def answered_together(
    stream: Stream[Q], piece: type, thread: ThreadPoolExecutor, callers: Sequence[Caller[Q]]
) -> AsyncIterator[Sequence[Any]]:
    """At each step a list for each caller of what is new, until all have their answers or have left.

    A step that gives a caller StopAsyncIteration in place of a list ends theirs, and others go on.
    """
    steps = stream([caller.question for caller in callers], lambda row: callers[row].gone.is_set())
    going = set(range(len(callers)))
    while going := {row for row in going if not callers[row].gone.is_set()}:
        found: list[list[Any]] = [[] for _ in callers]
        for row, item in await asyncio.get_running_loop().run_in_executor(thread, _next, steps):
            found[row].append(item)
        yield found
        ended = {row for row, items in enumerate(found) if any(not isinstance(item, piece) for item in items)}
        going -= ended
        if ended and going:
            # Serve closes those whose turn brings this.
            yield [StopAsyncIteration if row in ended else [] for row in range(len(callers))]


def _next(steps: Iterator[Any]) -> Any:
    # A StopIteration must not cross into a coroutine; a stream that ends too early is an error of the engine.
    try:
        return next(steps)
    except StopIteration:
        raise RuntimeError("the engine ended before all its answers") from None


async def merged(sources: Sequence[AsyncGenerator[Any]], at_once: int) -> AsyncGenerator[Any]:
    """The items of all sources as they come, of no more than `at_once` sources at a time; an exception of one ends them all."""
    ready: asyncio.Queue[Any] = asyncio.Queue()
    places = asyncio.Semaphore(at_once)

    async def drain(source: AsyncGenerator[Any]) -> None:
        async with places, aclosing(source):
            async for item in source:
                ready.put_nowait(item)

    async def drain_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for source in sources:
                    group.create_task(drain(source))
        finally:
            ready.put_nowait(_END)

    work = asyncio.create_task(drain_all())
    try:
        while (item := await ready.get()) is not _END:
            yield item
        try:
            await work
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
