"""Speech as a language model reads it: discrete units with run lengths, and a continuous residual a frame.

Axes: T frames, U merged units, D width.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

ResidualSign = Literal["centroid-frame", "frame-centroid"]
"""Which way round a residual is taken: `centroid-frame` is what the centroid has too much, `frame-centroid` what it lacks."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechUnits:
    """The units of one utterance."""

    ids: npt.NDArray[np.int32]
    """[T] the nearest centroid of each frame."""
    units: npt.NDArray[np.int32]
    """[U] the same with each run of equal ids as one."""
    runs: npt.NDArray[np.int32]
    """[U] frames in each run; they sum to T."""
    residuals: npt.NDArray[np.floating] | None = None
    """[T, D] what the centroids leave over, one row a frame; None when none were stored or asked for."""

    @classmethod
    def of(cls, ids: npt.ArrayLike, residuals: npt.NDArray[np.floating] | None = None) -> Self:
        """The units of frame ids [T], with residuals [T, D] when there are any.

        Raises ValueError when the two differ in length.
        """
        frame_ids = np.asarray(ids, np.int32)
        if residuals is not None and len(residuals) != len(frame_ids):
            raise ValueError(f"{len(residuals)} residuals for {len(frame_ids)} frames: wanted one a frame")
        return cls(frame_ids, *merge_runs(frame_ids), residuals)


def merge_runs(ids: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Units [U] and run lengths [U] of frame ids [T]: each stretch of equal ids becomes one unit."""
    starts = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1)) if len(ids) else np.zeros(0, np.int64)
    runs = np.diff(starts, append=len(ids))
    return np.asarray(ids)[starts].astype(np.int32), runs.astype(np.int32)
