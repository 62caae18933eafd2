"""A codebook: centroids, the encoder whose frames they are of, and a hash over both by which every use is checked.

Plain numpy, so that workers that only assign frames need no torch. Axes: K clusters, D width, T frames.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.units import ResidualSign

CENTROIDS, METADATA = "codebook.safetensors", "codebook.json"

_FRAMES_AT_ONCE = 8_192  # bounds the [T, K] table of distances


class CodebookError(RapportError):
    """A codebook that cannot be loaded, or does not fit what it is used with."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """K centroids in the space of one encoder's frames."""

    centroids: npt.NDArray[np.float32]
    """[K, D]"""
    metadata: Mapping[str, Any]
    """`encoder`: the encoder's identity (`FrameEncoder.provenance`). What else is here tells how it came about."""

    @property
    def clusters(self) -> int:
        """K"""
        return len(self.centroids)

    @property
    def width(self) -> int:
        """D"""
        return int(self.centroids.shape[1])

    @cached_property
    def hash(self) -> str:
        """SHA-256, in hex, over the centroids and the identity of their encoder."""
        identity = json.dumps(dict(self.metadata["encoder"]), sort_keys=True, ensure_ascii=False)
        values = np.ascontiguousarray(self.centroids, "<f4")
        return hashlib.sha256(f"{identity}\n{values.shape}\n".encode() + values.tobytes()).hexdigest()

    def assign(self, frames: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
        """The id [T] of the centroid nearest to each frame [T, D] by Euclidean distance; of equals the lowest id.

        Raises CodebookError for frames of another width.
        """
        self._check_width(frames)
        ids = np.concatenate([nearest(part, self.centroids, self._norms)[0] for part in _parts(frames)] or [np.zeros(0, np.int64)])
        return self._first[ids]

    def residuals(
        self, frames: npt.NDArray[np.floating], ids: npt.NDArray[np.integer], sign: ResidualSign = "centroid-frame"
    ) -> npt.NDArray[np.float32]:
        """[T, D] the difference between each frame [T, D] and the centroid of its id [T].

        Raises CodebookError for frames of another width, RapportError for an unknown sign.
        """
        self._check_width(frames)
        if sign not in ("centroid-frame", "frame-centroid"):
            raise RapportError(f"residual_sign is {sign!r}: wanted centroid-frame or frame-centroid")
        difference = self.centroids[ids] - np.asarray(frames, np.float32)
        return difference if sign == "centroid-frame" else -difference

    def check_encoder(self, provenance: Mapping[str, str]) -> None:
        """Raise CodebookError unless frames of this encoder are what the centroids were fitted on."""
        wanted = dict(self.metadata["encoder"])
        found = dict(provenance)
        if found != wanted:
            differs = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
            pairs = "; ".join(f"{k} is {found.get(k)}, the codebook's is {wanted.get(k)}" for k in differs)
            raise CodebookError(f"codebook {self.hash[:12]} is of another encoder ({pairs}): set frames to the one it was fitted on")

    def save(self, folder: str | Path) -> None:
        """Write `codebook.safetensors` and `codebook.json` to a folder or URI, the latter last: a folder that has it is whole."""
        data = save({"centroids": np.ascontiguousarray(self.centroids, np.float32)})
        storage.write_bytes(storage.join(folder, CENTROIDS), data)
        facts = {"clusters": self.clusters, "width": self.width, "hash": self.hash}
        storage.write_json(storage.join(folder, METADATA), {**self.metadata, **facts})

    @cached_property
    def _norms(self) -> npt.NDArray[np.float32]:
        return squared_norms(self.centroids)

    @cached_property
    def _first(self) -> npt.NDArray[np.int32]:
        """[K] the lowest id of a centroid's value: a matrix product may round equal columns differently, and ties go to the lowest."""
        _, first, inverse = np.unique(self.centroids, axis=0, return_index=True, return_inverse=True)
        return first[inverse.reshape(-1)].astype(np.int32)

    def _check_width(self, frames: npt.NDArray[np.floating]) -> None:
        if frames.ndim != 2 or frames.shape[1] != self.width:
            raise CodebookError(f"frames are {list(frames.shape)}: codebook {self.hash[:12]} wants [T, {self.width}]")


def load_codebook(folder: str | Path) -> Codebook:
    """The codebook that `Codebook.save` wrote to a folder or URI.

    Raises CodebookError when there is none, or its centroids are not those of its hash.
    """
    if not storage.exists(storage.join(folder, METADATA)):
        state = f"has no {METADATA}: its job was killed or is still running" if storage.exists(folder) else "does not exist"
        raise CodebookError(f"codebook folder {folder} {state}; fit one with python -m rapport.ray_jobs.fit_units")
    metadata = storage.read_json(storage.join(folder, METADATA))
    try:
        centroids = load(storage.read_bytes(storage.join(folder, CENTROIDS)))["centroids"]
    except (OSError, KeyError, SafetensorError) as error:
        raise CodebookError(f"cannot read {folder}/{CENTROIDS}: {error}") from error
    wanted = metadata.pop("hash")
    for fact in ("clusters", "width"):
        metadata.pop(fact)
    codebook = Codebook(centroids, metadata)
    if codebook.hash != wanted:
        raise CodebookError(f"{folder}: the centroids hash to {codebook.hash}, {METADATA} says {wanted}; one of the two files was changed")
    return codebook


def nearest(
    frames: npt.NDArray[np.floating], centroids: npt.NDArray[np.float32], norms: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The nearest centroid [T] of each frame [T, D] and the squared distance to it [T]; `norms` are the centroids' squared norms [K]."""
    exact = np.asarray(frames, np.float32)
    scores = exact @ centroids.T  # s.s - 2 s.mu + mu.mu, of which s.s does not depend on the centroid
    scores *= -2
    scores += norms
    ids = scores.argmin(1)
    distances = scores[np.arange(len(ids)), ids] + squared_norms(exact)
    return ids, np.maximum(distances, 0)


def squared_norms(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[N] the squared length of each row [N, D]."""
    norms: npt.NDArray[np.float32] = np.einsum("nd,nd->n", rows, rows)
    return norms


def _parts(frames: npt.NDArray[np.floating]) -> list[npt.NDArray[np.floating]]:
    return [frames[start : start + _FRAMES_AT_ONCE] for start in range(0, len(frames), _FRAMES_AT_ONCE)]
