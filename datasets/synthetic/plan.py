"""What is asked of a layout, and the two questions that every layout answers with it: how many speakers, which clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from rapport.core.errors import RapportError
from rapport.datasets.synthetic.seeds import generator

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """Size and seed of a corpus."""

    speakers: int | None = None
    """How many; None is as many as the published corpus has."""
    utterances: int | None = None
    """How many a speaker (files in all, where the layout has no speakers); None is all that the published corpus has."""
    seed: int = 0

    def count_speakers(self, default: int, most: int) -> int:
        """The number of speakers. Raises RapportError when the layout's names have no room for so many."""
        return _count("speakers", self.speakers, default, most)

    def count_utterances(self, default: int, most: int) -> int:
        """The number of utterances. Raises RapportError when the layout has not so many."""
        return _count("utterances", self.utterances, default, most)


def pick(groups: Sequence[Sequence[T]], count: int, seed: int, name: str) -> list[T]:
    """`count` of the things in the groups, as evenly over groups as these allow; which ones, the seed and `name` decide."""
    rng = generator(seed, "pick", name)
    shuffled = [[group[i] for i in rng.permutation(len(group))] for group in groups]
    order = rng.permutation(len(groups))
    rounds = max(map(len, groups))
    return [shuffled[g][turn] for turn in range(rounds) for g in order if turn < len(shuffled[g])][:count]


def _count(setting: str, wanted: int | None, default: int, most: int) -> int:
    if wanted is not None and not 1 <= wanted <= most:
        raise RapportError(f"--{setting} {wanted}: this layout takes 1 to {most}")
    return default if wanted is None else wanted
