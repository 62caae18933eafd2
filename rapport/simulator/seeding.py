"""Seeds that belong to one episode, so that any episode can be replayed alone from what its info dict tells.

    seed = EpisodeSeed(master=7, worker=0, row=3, episode=12)
    str(seed)                            # "7-0-3-12", and EpisodeSeed.parse gives it back
    seed.generator()                     # the stream of this episode and of no other

Task code that draws from the global generators is run inside `seeded`, which makes it reproducible and leaves no trace.
"""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from rapport.core.errors import RapportError

PROBE = 2**32 - 1
"""The episode from which observation spaces are inferred: none that is counted ever reaches it."""


class SeedError(RapportError, ValueError):
    """A seed that names no episode."""


@dataclass(frozen=True, slots=True)
class EpisodeSeed:
    """Which episode this is, in four whole numbers; different ones have unrelated streams."""

    master: int
    """What the user seeded with."""
    worker: int
    """Env runner."""
    row: int
    """Session within a vector of them."""
    episode: int
    """Counted from 0 within the row."""

    def __post_init__(self) -> None:
        if min(self.master, self.worker, self.row, self.episode) < 0:
            raise SeedError(f"episode seed {self}: wanted whole numbers from 0 on")

    def __str__(self) -> str:
        return f"{self.master}-{self.worker}-{self.row}-{self.episode}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The seed that `str` wrote. Raises SeedError for other text."""
        parts = text.split("-")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise SeedError(f"episode seed {text!r}: wanted master-worker-row-episode, such as 7-0-3-12")
        master, worker, row, episode = map(int, parts)
        return cls(master, worker, row, episode)

    def generator(self) -> np.random.Generator:
        """The episode's own stream, from its start."""
        return np.random.default_rng(np.random.SeedSequence([self.master, self.worker, self.row, self.episode]))


_kept = 0


@contextmanager
def kept_random() -> Iterator[None]:
    """A scope after which the global generators of `random` and `numpy.random` are as they were before.

    Scopes within scopes cost nothing, so that a batch of sessions saves and restores once. Like those generators, not for two threads.
    """
    global _kept
    if _kept:
        yield
        return
    python, arrays = random.getstate(), np.random.get_state(legacy=False)
    _kept += 1
    try:
        yield
    finally:
        _kept -= 1
        random.setstate(python)
        np.random.set_state(arrays)


class seeded:  # a context manager, called as the functions are; a class costs a third of a generator
    """A scope in which the global generators start from `seed` (modulo 2^32). They are as before when the outermost scope ends."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._outermost: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        if not _kept:
            self._outermost = kept_random()
            self._outermost.__enter__()
        random.seed(self._seed)
        np.random.seed(self._seed & 0xFFFFFFFF)

    def __exit__(self, *error: Any) -> None:
        if self._outermost is not None:
            self._outermost.__exit__(*error)
