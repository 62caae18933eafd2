"""Nods of a head: how many, how fast, and how long after the speaker raises the voice.

A stroke is a dip of the nose (a peak of the pitch) by at least 2 degrees that takes no longer than 2 s and no less than 1/7 s down and up;
strokes that follow each other without a rest are one nod.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks, peak_widths

from rapport.core.pose import ROTATIONS
from rapport.training.metrics import FloatArray
from rapport.training.motion_pairs import MotionPair, ratio

STROKE_DEG = 2.0  # several times what markers on a head that is held still shake by
STROKE_HZ = (0.5, 7.0)
_REST = 1.5  # periods of a stroke; one that is lowest later than this belongs to another nod
_LONGEST_LATENCY_S = 2.0
_PITCH = ROTATIONS.index("pitch")


class Strokes(NamedTuple):
    """Dips of the nose."""

    frames: np.ndarray
    """[N] where the nose is lowest."""
    periods_s: np.ndarray
    """[N] how long each takes down and up."""
    nods: int
    """How many nods they make up."""


def find_nods(pitch_deg: FloatArray, frame_rate_hz: float) -> Strokes:
    """The strokes of a pitch [T] in degrees, positive when the nose is down."""
    # A dip is measured against the 2 s around it, lest a slow change of posture make one stroke of everything that lies on it.
    around = 2 * round(frame_rate_hz / STROKE_HZ[0] / 2) + 1
    places, properties = find_peaks(pitch_deg, prominence=STROKE_DEG, wlen=around)
    dips = tuple(properties[name] for name in ("prominences", "left_bases", "right_bases"))
    # Half way up a dip of a sine lies half a period from half way down.
    periods = 2 * peak_widths(pitch_deg, places, 0.5, dips)[0] / frame_rate_hz
    real = (periods >= 1 / STROKE_HZ[1]) & (periods <= 1 / STROKE_HZ[0])
    places, periods = places[real], periods[real]
    rests = np.diff(places) / frame_rate_hz > _REST * periods[:-1]
    return Strokes(places, periods, int(rests.sum()) + bool(len(places)))


class Nods:
    """Rate and frequency of nods, and their latency to each of the speaker's signals."""

    def __init__(self, signals: Sequence[str], frame_rate_hz: float):
        self._signals = tuple(signals)
        self._frame_rate_hz = frame_rate_hz
        self._lags = round(_LONGEST_LATENCY_S * frame_rate_hz) + 1
        self._one = 3 + 2 * len(self._signals) * self._lags
        self.width = 2 * self._one + 1

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] nods, strokes, their periods, and each signal around them, of prediction and truth; and the frames."""
        parts = [self._of_one(motion[:, _PITCH], pair) for motion in (pair.prediction, pair.truth)]
        return np.concatenate([*parts, [len(pair.truth)]])

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`nods_per_minute`; `nod_hz`, strokes a second while it nods; `nod_latency_<signal>_s`, how long before the nose is lowest the
        signal, averaged over strokes, stands highest above its mean, at most 2 s. The same of the truth, `truth_...`.
        """
        found: dict[str, FloatArray] = {}
        for prefix, part in (("", sums[..., : self._one]), ("truth_", sums[..., self._one : -1])):
            found[f"{prefix}nods_per_minute"] = ratio(part[..., 0] * 60 * self._frame_rate_hz, sums[..., -1])
            found[f"{prefix}nod_hz"] = ratio(part[..., 1], part[..., 2])
            around = part[..., 3:].reshape(*part.shape[:-1], len(self._signals), 2, self._lags)
            for place, name in enumerate(self._signals):
                before = ratio(around[..., place, 0, :], around[..., place, 1, :])
                found[f"{prefix}nod_latency_{name}_s"] = _highest(before) / self._frame_rate_hz
        return found

    def _of_one(self, pitch_deg: FloatArray, pair: MotionPair) -> FloatArray:
        """[3 + signals * 2 * lags] the sums of one motion."""
        strokes = find_nods(pitch_deg, self._frame_rate_hz)
        around = np.zeros((len(self._signals), 2, self._lags))
        for place, name in enumerate(self._signals):
            values = np.asarray(pair.speaker[name])
            defined = ~np.isnan(values)
            if not defined.any():
                continue
            above = np.where(defined, values - values[defined].mean(), 0.0)
            at = strokes.frames[:, None] - np.arange(self._lags)  # [strokes, lags]
            heard = (at >= 0) & defined[at.clip(0)]
            around[place] = np.where(heard, above[at.clip(0)], 0.0).sum(0), heard.sum(0)
        return np.concatenate([[strokes.nods, len(strokes.frames), strokes.periods_s.sum()], around.reshape(-1)])


def _highest(values: FloatArray) -> FloatArray:
    """[...] where values [..., L] are highest; NaN where none is defined or all are alike."""
    place = np.where(np.isnan(values), -np.inf, values).argmax(-1).astype(np.float64)
    return np.where(np.ptp(np.nan_to_num(values), axis=-1) == 0, np.nan, place)
