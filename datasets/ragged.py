"""Ragged arrays on disk: many arrays of unequal length laid end to end in safetensors shards, each read alone without reading the rest.

A shard holds, for each field, the joined values [sum of lengths, ...] and the offsets [N + 1] at which items begin and end.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from rapport.core import storage
from rapport.core.errors import RapportError

_OFFSETS = ".offsets"


def write_ragged(path: str | Path, items: Sequence[Mapping[str, npt.NDArray[Any]]]) -> None:
    """Write one shard, whole or not at all. All items have the same fields, with arrays that differ in their first axis only."""
    tensors: dict[str, npt.NDArray[Any]] = {}
    for name in items[0] if items else ():
        arrays = [item[name] for item in items]
        tensors[name] = np.concatenate(arrays)
        tensors[name + _OFFSETS] = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    storage.write_bytes(path, save(tensors))


class RaggedShards:
    """The shards of a folder, opened as they are needed. Copies for other processes carry paths alone."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)
        self._open: dict[int, tuple[Any, dict[str, npt.NDArray[np.int64]]]] = {}

    def read(self, shard: int, field: str, row: int) -> npt.NDArray[Any]:
        """One array: the field of the item in a row of a shard. It is the caller's own.

        Raises RapportError for a shard that is missing or damaged.
        """
        file, offsets = self._shard(shard)
        start, end = offsets[field][row : row + 2]
        values: npt.NDArray[Any] = file.get_slice(field)[int(start) : int(end)]
        return values

    def _shard(self, shard: int) -> tuple[Any, dict[str, npt.NDArray[np.int64]]]:
        if shard not in self._open:
            path = self.paths[shard]
            try:
                file = safe_open(storage.local_copy(path), framework="numpy")
                offsets = {name.removesuffix(_OFFSETS): file.get_tensor(name) for name in file.keys() if name.endswith(_OFFSETS)}  # noqa: SIM118
            except (OSError, SafetensorError) as error:
                raise RapportError(f"cannot read the shard {path}: {error}; run extract_features again") from error
            self._open[shard] = (file, offsets)
        return self._open[shard]

    def __getstate__(self) -> dict[str, object]:
        # Mapped memory stays in its process.
        return {"paths": self.paths, "_open": {}}
