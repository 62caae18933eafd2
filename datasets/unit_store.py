"""Units and residuals of prepared corpora as training reads them, each utterance at once and none before it is asked for.

    store = open_units(find_units(config.storage, "esd", codebook.hash), codebook.hash)
    speech = store.get("esd/0011_000351")        # SpeechUnits: ids [T], units [U], runs [U], residuals [T, D]

`extract_features --features units` writes such a folder; its manifest carries the hash of the codebook. Axes: T frames, U merged units,
D residual width.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.units import SpeechUnits
from rapport.datasets.feature_store import SHARED_FACTS, FeatureStore, no_features

KIND = "units"


class UnitStore(FeatureStore):
    """Units of one or more corpora, all of one codebook."""

    def __init__(self, folders: Sequence[str]) -> None:
        super().__init__(folders)
        if self.facts["kind"] != KIND:
            raise RapportError(f"{self.folders[0]} holds {self.facts['kind']}: wanted what extract_features --features units wrote")
        self.codebook_hash: str = self.facts["codebook_hash"]
        self.clusters: int = self.facts["clusters"]
        self.width: int = self.facts["width"]
        """D of residuals and centroids."""
        self.residual_sign: str | None = self.facts["residual_sign"]
        """`centroid-frame` or `frame-centroid`; None when no residuals are stored."""

    @property
    def has_residuals(self) -> bool:
        """Whether residuals are stored beside the units."""
        return self.residual_sign is not None

    def get(self, utterance_id: str, *, residuals: bool = True) -> SpeechUnits:
        """The units of one utterance, with its residuals where there are any, in the precision in which they are stored.

        Raises RapportError for an utterance that is not in the store.
        """
        units, runs = (self._read(utterance_id, name).astype(np.int32) for name in ("units", "runs"))
        rest = self._read(utterance_id, "residuals") if residuals and self.has_residuals else None
        return SpeechUnits(np.repeat(units, runs), units, runs, rest)


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
    found = units_by_codebook(root, corpus)
    if codebook_hash is not None:
        found = {given: folder for given, folder in found.items() if given == codebook_hash}
    if not found:
        raise no_features(root, KIND, corpus, f" of codebook {codebook_hash[:12]}" if codebook_hash else "")
    return list(found.values())[-1]


def units_by_codebook(root: str, corpus: str) -> dict[str, str]:
    """Hash of a codebook to the folder of the newest finished units of a corpus of it below a storage root, the newest of all last."""
    found: dict[str, str] = {}
    for folder in storage.completed(storage.join(root, "features", KIND, corpus)):
        given = storage.read_manifest(folder)[SHARED_FACTS]["codebook_hash"]
        found.pop(given, None)
        found[given] = folder
    return found


def stored_item(speech: SpeechUnits, dtype: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of one utterance as a shard holds them; residuals as `float16` or `float32`."""
    item: dict[str, npt.NDArray[Any]] = {"units": _small(speech.units), "runs": _small(speech.runs)}
    if speech.residuals is not None:
        item["residuals"] = speech.residuals.astype(dtype)
    return item


def _small(values: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    return values.astype(np.uint16 if values.max(initial=0) < 2**16 else np.uint32)
