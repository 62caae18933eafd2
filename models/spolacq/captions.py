"""Captions: what was said of a picture, as rows of vocabulary ids.

    vocabulary = Vocabulary.of(units, min_count=1)
    rows = caption_rows(units, vocabulary, max_units=100)      # [N, 102]: <start> units <end> <pad> ...

Plain numpy. Axes: N captions, U units, L = max_units + 2.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError

Ints = npt.NDArray[np.integer]

PAD = 0


@dataclass(frozen=True)
class Vocabulary:
    """Units by id: 0 is the pad, then the units from 1, then those that are unknown, the start and the end."""

    units: tuple[int, ...]
    """The unit of each id from 1 on."""

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int] | Ints], min_count: int = 1) -> "Vocabulary":
        """The units that are seen more than `min_count` times, in order of their numbers.

        Raises RapportError when there are none.
        """
        counts = Counter(int(unit) for sequence in sequences for unit in sequence)
        kept = tuple(sorted(unit for unit, count in counts.items() if count > min_count))
        if not kept:
            raise RapportError(
                f"none of {len(counts)} units is seen more than min_count ({min_count}) times: lower it, or give more speech"
            )
        return cls(kept)

    @property
    def unknown(self) -> int:
        """Id of every unit that is not here."""
        return len(self.units) + 1

    @property
    def start(self) -> int:
        """Id that begins a row."""
        return len(self.units) + 2

    @property
    def end(self) -> int:
        """Id that ends a caption."""
        return len(self.units) + 3

    @property
    def size(self) -> int:
        """Ids, the four special ones included."""
        return len(self.units) + 4

    def ids(self, units: Sequence[int] | Ints) -> list[int]:
        """The id of each unit."""
        return [self._places.get(int(unit), self.unknown) for unit in units]

    def units_of(self, ids: Sequence[int] | Ints) -> npt.NDArray[np.int32]:
        """The units [U] of ids; special ones are left out."""
        return np.array([self.units[i - 1] for i in map(int, ids) if 1 <= i <= len(self.units)], np.int32)

    @cached_property
    def _places(self) -> dict[int, int]:
        return {unit: place for place, unit in enumerate(self.units, 1)}


def caption_rows(sequences: Sequence[Sequence[int] | Ints], vocabulary: Vocabulary, max_units: int = 100) -> npt.NDArray[np.int64]:
    """A row [L] for each sequence of units.

    Raises RapportError for sequences that are empty or too long.
    """
    rows = np.full((len(sequences), max_units + 2), PAD, np.int64)
    for number, (row, sequence) in enumerate(zip(rows, sequences, strict=True)):
        if not 1 <= len(sequence) <= max_units:
            raise RapportError(
                f"caption {number} has {len(sequence)} units, wanted 1 to {max_units}: raise image_to_units.max_units, "
                "or say it in fewer (hearing.stacked_frames)"
            )
        row[: len(sequence) + 2] = [vocabulary.start, *vocabulary.ids(sequence), vocabulary.end]
    return rows
