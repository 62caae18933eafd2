"""Clips of like length from many requests, gathered into batches."""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ

Scores = dict[str, float]


class LengthBatches:
    """Scores of a clip, computed in one batch with others of its length.

    There is one queue of `serve.batch` for each stretch of lengths between two edges, and one for what is longer than all edges. Each has
    at most one batch in `predict`, so that a clip waits for at most one batch of each queue. Works in a Serve replica alone.
    """

    def __init__(
        self,
        predict: Callable[[list[np.ndarray]], Awaitable[Sequence[Scores]]],
        *,
        edges_s: Sequence[float],
        max_batch_size: int,
        max_batch_s: float,
        wait_s: float,
    ) -> None:
        self._predict = predict
        self.edges_s = sorted(edges_s)
        self.max_batch_size = max_batch_size
        self._queues = [self._queue(edge_s, max_batch_s, wait_s) for edge_s in [*self.edges_s, max(max_batch_s, 2 * self.edges_s[-1])]]

    async def scores(self, clip: np.ndarray) -> Scores:
        """The scores of one clip [S]."""
        return await self._queues[bisect_left(self.edges_s, len(clip) / SAMPLE_RATE_HZ)](clip)

    async def scores_of_all(self, clips: Sequence[np.ndarray]) -> list[Scores]:
        """The scores of many clips of one request, which leaves room for others: no more than a batch of them waits at a time."""
        found: list[Scores] = []
        for first in range(0, len(clips), self.max_batch_size):
            found += await asyncio.gather(*(self.scores(clip) for clip in clips[first : first + self.max_batch_size]))
        return found

    def are_short(self, clips: Sequence[np.ndarray]) -> bool:
        """Whether these clips come from a queue with an upper edge."""
        return all(len(clip) <= self.edges_s[-1] * SAMPLE_RATE_HZ for clip in clips)

    def _queue(self, edge_s: float, max_batch_s: float, wait_s: float) -> Callable[[np.ndarray], Awaitable[Scores]]:
        from ray import serve

        size = max(1, min(self.max_batch_size, int(max_batch_s / edge_s)))

        async def batch(clips: list[np.ndarray]) -> Sequence[Scores]:
            return await self._predict(clips)

        batch.__name__ = f"clips_to_{edge_s:g}_s"  # the name of this queue in Serve's metrics
        decorate: Any = serve.batch(max_batch_size=size, batch_wait_timeout_s=wait_s)  # its stub knows lists of awaitables only
        return decorate(batch)
