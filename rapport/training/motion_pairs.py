"""What the scores of a motion are made of: a turn with its true and its predicted head motion, and the form of a score.

Like those of text, scores are sums over turns: any set of turns, such as a resampled one, is scored by adding up what each contributes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from rapport.core.pose import ROTATIONS, unwrap
from rapport.training.metrics import FloatArray

SHORTEST_FRAMES = 4  # the fewest that have a jerk


@dataclass(frozen=True, slots=True, eq=False)
class MotionPair:
    """A turn: how the listener's head moved and how it was said to move, frame by frame. Degrees, roll, pitch, yaw."""

    turn_id: str
    group: str | None
    """What is alike and is drawn again as one, such as the fold, the session or the listener."""
    truth: FloatArray
    """[T, 3]"""
    prediction: FloatArray
    """[T, 3]"""
    speaker: Mapping[str, FloatArray] = field(default_factory=dict)
    """Signals [T] of the one who talks, such as `loudness` in dB, by the name they have among the figures. NaN where one is undefined, as
    pitch is in a pause."""

    def __post_init__(self) -> None:
        pose, signals = (len(self.truth), len(ROTATIONS)), {name: np.shape(signal) for name, signal in self.speaker.items()}
        if not np.shape(self.truth) == np.shape(self.prediction) == pose or any(shape != pose[:1] for shape in signals.values()):
            seen = {"truth": np.shape(self.truth), "prediction": np.shape(self.prediction), **signals}
            raise ValueError(f"turn {self.turn_id}: wanted two motions [T, 3] and signals [T], got {seen}")


class MotionScore(Protocol):
    """Some figures of motions."""

    width: int
    """K, the number of sums."""

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] what a turn contributes; it is finite, without jumps (`unwrap`), and has at least `SHORTEST_FRAMES` frames."""
        ...

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """The figures [...] of every sum in [..., K]; NaN where one is undefined."""
        ...


def usable(pair: MotionPair) -> MotionPair | None:
    """The longest stretch of frames in which truth and prediction are finite, without jumps; None when it is too short to score."""
    finite = np.isfinite(pair.truth).all(1) & np.isfinite(pair.prediction).all(1)
    edges = np.flatnonzero(np.diff(finite.astype(int), prepend=0, append=0)).reshape(-1, 2)  # [stretches, 2] first frame, one past the last
    if not len(edges):
        return None
    start, stop = edges[np.diff(edges, axis=1).argmax()].tolist()
    if stop - start < SHORTEST_FRAMES:
        return None
    return replace(
        pair,
        truth=unwrap(pair.truth[start:stop]),
        prediction=unwrap(pair.prediction[start:stop]),
        speaker={name: _defined(signal[start:stop]) for name, signal in pair.speaker.items()},
    )


def _defined(signal: FloatArray) -> FloatArray:
    """The signal with NaN for all that is not finite, such as the loudness in dB of digital silence."""
    return np.where(np.isfinite(signal), signal, np.nan).astype(np.float64)


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """above / below [...], NaN where nothing is below."""
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 0)


def by_angle(name: str, values: FloatArray, unit: str = "") -> dict[str, FloatArray]:
    """Figures `<name>_roll<unit>`, `<name>_pitch<unit>` and `<name>_yaw<unit>` of values [..., 3]."""
    return {f"{name}_{angle}{unit}": values[..., axis] for axis, angle in enumerate(ROTATIONS)}
