"""Units and residuals of prepared corpora as training reads them, each utterance at once and none before it is asked for.

    store = open_units(find_units(config.storage, "esd", codebook.hash), codebook.hash)
    speech = store.get("esd/0011_000351")        # SpeechUnits: ids [T], units [U], runs [U], residuals [T, D]

`extract_features` writes such a folder: shards of merged units, run lengths and residuals laid end to end, `index.parquet`, and a manifest
with the hash of the codebook. Axes: T frames, U merged units, D residual width.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.units import SpeechUnits
from rapport.datasets.ragged import RaggedShards

KIND = "units"

INDEX_SCHEMA = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("units", pa.int32(), nullable=False),
    ]
)
"""`index.parquet`: where the units of an utterance lie, and T and U."""


class UnitStore:
    """Units of one or more corpora, all of one codebook. A copy for another process carries folders and opens them there."""

    def __init__(self, folders: Sequence[str]) -> None:
        self.folders = tuple(folders)
        manifests = [storage.read_manifest(folder) for folder in folders]
        for folder, manifest in zip(folders, manifests, strict=True):
            if manifest.get("kind") != KIND:
                raise RapportError(f"{folder} holds {manifest.get('kind')!r}: wanted a folder that extract_features --features units wrote")
        described = [manifest["units"] for manifest in manifests]
        for name in ("codebook_hash", "residual_sign", "width"):
            found = {str(facts[name]) for facts in described}
            if len(found) > 1:
                raise RapportError(f"{name} differs between {', '.join(folders)}: {', '.join(sorted(found))}; extract them alike")
        facts = described[0]
        self.codebook_hash: str = facts["codebook_hash"]
        self.clusters: int = facts["clusters"]
        self.width: int = facts["width"]
        """D of residuals and centroids."""
        self.residual_sign: str | None = facts["residual_sign"]
        """`centroid-frame` or `frame-centroid`; None when no residuals are stored."""
        self.hop_s: float = facts["hop_s"]
        """Seconds between frames."""
        paths: list[str] = []
        self._places: dict[str, tuple[int, int, int, int]] = {}
        for folder, manifest in zip(folders, manifests, strict=True):
            table = storage.read_table(storage.join(folder, "index.parquet"))
            shards = np.asarray(table.column("shard")) + len(paths)
            columns = [table.column(name).to_pylist() for name in ("row", "frames", "units")]
            ids = table.column("utterance_id").to_pylist()
            if twice := next((i for i in ids if i in self._places), None):
                raise RapportError(f"{twice} lies in two of {', '.join(folders)}: name each corpus once")
            self._places.update(zip(ids, zip(shards.tolist(), *columns, strict=True), strict=True))
            paths += [storage.join(folder, "shards", name) for name in manifest["shards"]]
        self._shards = RaggedShards(paths)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, utterance_id: object) -> bool:
        return utterance_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    @property
    def has_residuals(self) -> bool:
        """Whether residuals are stored beside the units."""
        return self.residual_sign is not None

    def get(self, utterance_id: str, *, residuals: bool = True) -> SpeechUnits:
        """The units of one utterance, with its residuals where there are any, in the precision in which they are stored.

        Raises RapportError for an utterance that is not in the store.
        """
        shard, row, _, _ = self._place(utterance_id)
        units, runs = (self._shards.read(shard, name, row).astype(np.int32) for name in ("units", "runs"))
        rest = self._shards.read(shard, "residuals", row) if residuals and self.has_residuals else None
        return SpeechUnits(np.repeat(units, runs), units, runs, rest)

    def lengths(self, utterance_id: str) -> tuple[int, int]:
        """T and U of one utterance, from the index alone."""
        _, _, frames, units = self._place(utterance_id)
        return frames, units

    def _place(self, utterance_id: str) -> tuple[int, int, int, int]:
        place = self._places.get(utterance_id)
        if place is None:
            raise RapportError(
                f"no units of {utterance_id!r} in {', '.join(self.folders)}: run extract_features --features units on its corpus; "
                "if it did, quarantine.parquet tells why it was left out"
            )
        return place

    def __reduce__(self) -> tuple[Any, ...]:
        return UnitStore, (self.folders,)


def open_units(path: str | Path | Iterable[str], codebook_hash: str | None = None) -> UnitStore:
    """The units in a folder (path or URI) or in several that share a codebook.

    Raises RapportError when there are none, their extraction did not finish, or they are of another codebook than `codebook_hash`.
    """
    store = UnitStore([str(path)] if isinstance(path, str | Path) else list(path))
    if codebook_hash is not None and store.codebook_hash != codebook_hash:
        raise RapportError(
            f"the units in {', '.join(store.folders)} are of the codebook {store.codebook_hash}, wanted those of {codebook_hash}: "
            "run extract_features with that codebook, or use the model and units that belong together"
        )
    return store


def find_units(root: str, corpus: str, codebook_hash: str | None = None) -> str:
    """The folder of the newest finished units of a corpus below a storage root, of a given codebook when `codebook_hash` is told.

    Raises RapportError that tells how to extract them.
    """
    folder = storage.join(root, "features", KIND, corpus)
    finished = list(storage.completed(folder))
    if codebook_hash is not None:
        finished = [f for f in finished if storage.read_manifest(f)["units"]["codebook_hash"] == codebook_hash]
    if not finished:
        of = f" of codebook {codebook_hash[:12]}" if codebook_hash else ""
        raise RapportError(
            f"no units{of} below {folder}: run python -m rapport.ray_jobs.extract_features --features units --corpora {corpus} "
            f"--storage {root}"
        )
    return finished[-1]


def stored_item(speech: SpeechUnits, dtype: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of one utterance as a shard holds them; residuals as `float16` or `float32`."""
    item: dict[str, npt.NDArray[Any]] = {"units": _small(speech.units), "runs": _small(speech.runs)}
    if speech.residuals is not None:
        item["residuals"] = speech.residuals.astype(dtype)
    return item


def _small(values: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    return values.astype(np.uint16 if values.max(initial=0) < 2**16 else np.uint32)
