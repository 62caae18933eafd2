"""Features of prepared corpora on disk: shards of ragged arrays, an index, a manifest; read an utterance at a time.

    store = open_frames(find_features(config.storage, "frames", "ravdess"))
    frames = store.get("ravdess/03-01-05-01-01-01-01")          # [T, D]

Axes: T frames, D width.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.ragged import RaggedShards

INDEX_SCHEMA = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("units", pa.int32()),
    ]
)
"""`index.parquet`: where the features of an utterance lie, T, and the number of merged units where the features are units."""

SHARED_FACTS = "features"
"""The part of a manifest that must be equal where several folders are read as one."""


def shard_path(folder: str, index: int) -> str:
    """Where the features of a chunk lie."""
    return storage.join(folder, "shards", f"shard-{index:05d}.safetensors")


class FeatureStore:
    """Features of one or more corpora, all made alike. A copy for another process carries folders and opens them there."""

    def __init__(self, folders: Sequence[str]) -> None:
        self.folders = tuple(folders)
        if not self.folders:
            raise RapportError("no folder of features is given: name at least one")
        manifests = [storage.read_manifest(folder) for folder in self.folders]
        self.facts: dict[str, Any] = manifests[0][SHARED_FACTS]
        """What is told about how the features were made."""
        for folder, manifest in zip(self.folders, manifests, strict=True):
            self._check_alike(folder, manifest[SHARED_FACTS])
        paths: list[str] = []
        self._places: dict[str, tuple[int, int, int, int]] = {}
        for folder, manifest in zip(self.folders, manifests, strict=True):
            table = storage.read_table(storage.join(folder, "index.parquet"))
            ids = table.column("utterance_id").to_pylist()
            shards = (np.asarray(table.column("shard")) + len(paths)).tolist()
            columns = [table.column(name).to_pylist() for name in ("row", "frames", "units")]
            before = len(self._places)
            self._places.update(zip(ids, zip(shards, *columns, strict=True), strict=True))
            if len(self._places) < before + len(ids):
                raise RapportError(f"the same utterances lie in two of {', '.join(self.folders)}: name each corpus once")
            paths += [shard_path(folder, index) for index in range(manifest["shards"])]
        self._shards = RaggedShards(paths)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""
        return float(self.facts["hop_s"])

    def lengths(self, utterance_id: str) -> tuple[int, int]:
        """T of one utterance and its number of merged units (0 for features that are not units), from the index alone."""
        _, _, frames, units = self._place(utterance_id)
        return frames, units or 0

    def _read(self, utterance_id: str, field: str) -> npt.NDArray[Any]:
        shard, row, _, _ = self._place(utterance_id)
        return self._shards.read(shard, field, row)

    def _place(self, utterance_id: str) -> tuple[int, int, int, int]:
        place = self._places.get(utterance_id)
        if place is None:
            raise RapportError(
                f"no {self.facts['kind']} of {utterance_id!r} in {', '.join(self.folders)}: run extract_features on its corpus; "
                "if it did, quarantine.parquet tells why it was left out"
            )
        return place

    def _check_alike(self, folder: str, facts: dict[str, Any]) -> None:
        differs = [name for name in sorted(self.facts.keys() | facts.keys()) if self.facts.get(name) != facts.get(name)]
        if differs:
            name = differs[0]
            raise RapportError(
                f"{name} differs: it is {self.facts.get(name)} in {self.folders[0]}, {facts.get(name)} in {folder}; extract them alike"
            )

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[str, ...]]]:
        return type(self), (self.folders,)


class FrameStore(FeatureStore):
    """Frames of one encoder."""

    def get(self, utterance_id: str) -> npt.NDArray[np.floating]:
        """The frames [T, D] of one utterance, in the precision in which they are stored.

        Raises RapportError for an utterance that is not in the store.
        """
        return self._read(utterance_id, "frames")


def open_frames(path: str | Path | Iterable[str]) -> FrameStore:
    """The frames in a folder (path or URI), or in several of one encoder.

    Raises RapportError when there are none or their extraction did not finish.
    """
    return FrameStore([str(path)] if isinstance(path, str | Path) else list(path))


def find_features(root: str, kind: str, corpus: str) -> str:
    """The folder of the newest finished features of a kind (`frames`, `egemaps`, ...) of a corpus below a storage root.

    Raises RapportError that tells how to extract them.
    """
    finished = list(storage.completed(storage.join(root, "features", kind, corpus)))
    if not finished:
        raise no_features(root, kind, corpus)
    return finished[-1]


def no_features(root: str, kind: str, corpus: str, which: str = "") -> RapportError:
    """The error that tells how to extract what is not there."""
    return RapportError(
        f"no {kind}{which} of {corpus} below {root}: run python -m rapport.ray_jobs.extract_features --features {kind} "
        f"--corpora {corpus} --storage {root}"
    )
