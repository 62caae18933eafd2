"""Which examples form which batch of sequences: a pure function of (seed, epoch, rank, world), under a budget of padded tokens.

An epoch is a list of optimiser steps and a step a list of micro-batches of examples of like length. Steps do not depend on the number of
workers, which only share the micro-batches of a step between them: one worker or eight learn from the same examples at the same step.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError
from rapport.training.sampler import IntArray, derive_seed

NOTHING: IntArray = np.empty(0, dtype=np.int64)
"""The micro-batch of a worker for which a step has none; it still takes part, as sharded weights are gathered by all workers together."""


class TokenBatches:
    """Batches of example indices for one of several workers."""

    def __init__(
        self,
        lengths: npt.ArrayLike,
        *,
        batch_tokens: int,
        batches_per_step: int = 1,
        batch_rows: int | None = None,
        pool_batches: int = 50,
        multiple: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """`lengths` [N] are tokens of each example.

        A micro-batch holds at most `batch_tokens` tokens with its padding, where rows are padded to the longest, rounded up to a
        `multiple`, and at most `batch_rows` rows. Rows are sorted by length within shuffled pools of about `pool_batches` micro-batches;
        1 does not sort. Raises RapportError when there is no example, or when one is longer than the budget.
        """
        self.lengths = -(-np.asarray(lengths, dtype=np.int64) // multiple) * multiple
        if not len(self.lengths):
            raise RapportError("there is no example to train on: the training side is empty")
        if self.lengths.max() > batch_tokens:
            raise RapportError(
                f"an example has {self.lengths.max()} tokens, more than batch_tokens {batch_tokens}: raise it, or lower max_tokens"
            )
        self.batch_tokens, self.batches_per_step, self.batch_rows = batch_tokens, batches_per_step, batch_rows
        self.seed, self.rank, self.world_size = seed, rank, world_size
        rows = max(1, int(batch_tokens // max(1.0, float(self.lengths.mean()))))
        self.pool = pool_batches * min(rows, batch_rows or rows) if pool_batches > 1 else 0
        self._cut = lru_cache(maxsize=2)(self._batches)

    def steps(self, epoch: int) -> int:
        """Optimiser steps in an epoch; epochs differ a little, as they cut the examples differently."""
        return -(-len(self._cut(epoch)) // self.batches_per_step)

    def total_steps(self, epochs: int) -> int:
        """Optimiser steps in all epochs."""
        return sum(self.steps(epoch) for epoch in range(epochs))

    def epoch(self, epoch: int) -> list[list[IntArray]]:
        """This worker's micro-batches of every step of an epoch; every worker has equally many in a step, some of them `NOTHING`.

        Every example is in one micro-batch of one worker.
        """
        batches = self._cut(epoch)
        return [
            _share(batches[start : start + self.batches_per_step], self.rank, self.world_size)
            for start in range(0, len(batches), self.batches_per_step)
        ]

    def _batches(self, epoch: int) -> list[IntArray]:
        """The micro-batches of all workers, in order."""
        random = np.random.default_rng(derive_seed(self.seed, "order", epoch))
        order = random.permutation(len(self.lengths))
        if self.pool:
            pools = (order[start : start + self.pool] for start in range(0, len(order), self.pool))
            order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = _cut(order, self.lengths, self.batch_tokens, self.batch_rows)
        # Unsorted rows come in random order already.
        return [batches[place] for place in random.permutation(len(batches))] if self.pool else batches


def evaluation_batches(
    lengths: npt.ArrayLike, batch_tokens: int, *, multiple: int = 1, rank: int = 0, world_size: int = 1
) -> list[IntArray]:
    """This worker's batches of all examples, each in one batch of one worker, sorted by length; every worker has equally many batches,
    some of them `NOTHING`. An example longer than the budget is a batch of its own.
    """
    padded = -(-np.asarray(lengths, dtype=np.int64) // multiple) * multiple
    order = np.argsort(padded, kind="stable")
    return _share(_cut(order, padded, batch_tokens, None), rank, world_size)


def padded_tokens(lengths: npt.ArrayLike, batch: IntArray, *, multiple: int = 1) -> int:
    """Tokens of a micro-batch with its padding."""
    longest = int(np.asarray(lengths)[batch].max(initial=0))
    return len(batch) * (-(-longest // multiple) * multiple)


def _share(batches: list[IntArray], rank: int, world_size: int) -> list[IntArray]:
    mine = batches[rank::world_size]
    return mine + [NOTHING] * (-(-len(batches) // world_size) - len(mine))


def _cut(order: IntArray, lengths: IntArray, batch_tokens: int, batch_rows: int | None) -> list[IntArray]:
    """The order in consecutive batches, each as long as the budget lets it be."""
    batches: list[IntArray] = []
    shortest = max(1, int(lengths.min())) if len(lengths) else 1
    most = min(batch_rows or len(order), batch_tokens // shortest + 1)
    start = 0
    while start < len(order):
        ahead = lengths[order[start : start + most]]
        # Tokens of the batch if it ended at each of the next examples: they never fall as it grows, so the budget ends it once.
        costs = np.maximum.accumulate(ahead) * np.arange(1, len(ahead) + 1)
        count = max(1, int(np.searchsorted(costs, batch_tokens, side="right")))
        batches.append(order[start : start + count])
        start += count
    return batches
