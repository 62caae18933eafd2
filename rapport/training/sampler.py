"""Which clips form which batch: a pure function of (seed, epoch), so that a run can be continued at any step and on any worker."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError

IntArray = npt.NDArray[np.int64]


def derive_seed(*parts: int | str) -> int:
    """63 bits that depend on every part and on nothing else, on any machine."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class BatchSampler:
    """Batches of clip indices of similar length, for one of several workers.

    The batches of all workers together are those that a single worker would get: each takes every `world_size`-th clip. Clips that do not
    fill a last batch wait for another epoch; a set smaller than one batch is one batch.
    """

    def __init__(
        self,
        durations_s: npt.ArrayLike,
        *,
        batch_size: int,
        seed: int,
        bucket_batches: int = 4,
        targets: Sequence[int] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """With `targets`, the class of each clip, every class is drawn equally often.

        Raises RapportError when there is no clip, or when the batch cannot be shared equally.
        """
        self.durations_s = np.asarray(durations_s, dtype=np.float64)
        if not len(self.durations_s):
            raise RapportError("there is no clip to train on: the training split is empty")
        if batch_size % world_size:
            raise RapportError(f"batch_size {batch_size} cannot be shared by {world_size} workers: make it a multiple")
        self.targets = None if targets is None else np.asarray(targets, dtype=np.int64)
        self.batch_size, self.bucket_batches, self.seed = batch_size, bucket_batches, seed
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        """Batches in an epoch."""
        return max(1, len(self.durations_s) // self.batch_size)

    def epoch(self, epoch: int) -> list[IntArray]:
        """This worker's batches of an epoch, in order."""
        random = np.random.default_rng(derive_seed(self.seed, "order", epoch))
        order = self._order(random)
        if len(order) < self.batch_size:
            order = np.resize(order, -(-len(order) // self.world_size) * self.world_size)
            return [order[self.rank :: self.world_size]]
        # Cut before sorting, or the clips left out would always be the longest.
        order = order[: len(self) * self.batch_size]
        bucket = self.batch_size * self.bucket_batches
        if self.bucket_batches > 1:
            groups = (order[start : start + bucket] for start in range(0, len(order), bucket))
            order = np.concatenate([group[np.argsort(self.durations_s[group], kind="stable")] for group in groups])
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        return [batches[place][self.rank :: self.world_size] for place in random.permutation(len(batches))]

    def _order(self, random: np.random.Generator) -> IntArray:
        count = len(self.durations_s)
        if self.targets is None:
            return random.permutation(count)
        classes = np.unique(self.targets)
        quota = -(-count // len(classes))
        # Whole rounds through a class before any clip of it comes again.
        drawn = []
        for name in classes:
            members = np.flatnonzero(self.targets == name)
            rounds = -(-quota // len(members))
            drawn.append(np.concatenate([random.permutation(members) for _ in range(rounds)])[:quota])
        return random.permutation(np.concatenate(drawn))[:count]


def evaluation_batches(durations_s: npt.ArrayLike, batch_s: float, *, rank: int = 0, world_size: int = 1) -> list[IntArray]:
    """Batches of clip indices of similar length that hold at most `batch_s` seconds with padding; each clip is in one batch of one rank."""
    lengths_s = np.asarray(durations_s, dtype=np.float64)
    order = np.argsort(lengths_s, kind="stable")[rank::world_size]
    batches: list[list[int]] = []
    for index in order:
        # The clips come sorted: the newest is the longest, and sets the padded length.
        if not batches or (len(batches[-1]) + 1) * lengths_s[index] > batch_s:
            batches.append([])
        batches[-1].append(int(index))
    return [np.array(batch, dtype=np.int64) for batch in batches]
