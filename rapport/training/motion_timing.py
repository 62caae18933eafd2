"""Whether a head moves at the right time and pace: correlation with the true motion at every lag, its lag behind the speaker, and spectra.

A lag is positive when what was given comes late. Correlations leave each turn's mean out and add the turns up before they divide, so that
a short or still turn weighs little; a prediction that does not move correlates with nothing: 0.
"""

from collections.abc import Sequence

import numpy as np
from scipy import signal

from rapport.core.pose import ROTATIONS
from rapport.training.metrics import FloatArray
from rapport.training.motion_pairs import MotionPair, by_angle, ratio

LONGEST_LAG_S = 2.0
_LEAST_OVERLAP = 0.25  # of the variance at lag 0; beyond, a few long turns decide alone
_STILL_DEG2 = 1e-9  # a prediction whose squares sum to less does not move: rounding, not nodding
_CONSTANT = 1e-18  # the same for what is followed, whose unit may be a small one
_SEGMENT_S = 4.0
_SHORTEST_SPECTRUM_S = 1.0
_FLOOR_DEG2_HZ = 1e-6
BANDS_HZ = {"slow": (0.2, 1.1), "middle": (1.1, 2.6), "fast": (2.6, 7.0)}
"""Turns of the head and shifts of posture, ordinary nods, and fast nods."""


def lag_sums(first: FloatArray, second: FloatArray, reach: int) -> FloatArray:
    """[A, 3, 2 * reach + 1] sums of products, of squares of the first and of squares of the second, where the second [T, A] is read
    -reach ... reach frames after the first [T, A]. Means over time are taken away; NaN counts as the mean.
    """
    x, y = (np.nan_to_num(values - _mean(values)) for values in (first, second))
    frames, angles = y.shape
    sums = np.zeros((angles, 3, 2 * reach + 1))
    inner = min(reach, frames - 1)  # beyond, nothing overlaps
    lags = np.arange(-inner, inner + 1)
    # Frame t of the first meets t + lag of the second, so these are the frames of each that meet one.
    low, high = np.maximum(0, -lags), np.minimum(frames, frames - lags)
    for axis in range(angles):
        products = signal.correlate(y[:, axis], x[:, axis])  # every lag from -(T - 1) to T - 1
        squares = [np.concatenate([[0.0], np.cumsum(values[:, axis] ** 2)]) for values in (x, y)]
        sums[axis, :, reach - inner : reach + inner + 1] = (
            products[frames - 1 + lags],
            squares[0][high] - squares[0][low],
            squares[1][high + lags] - squares[1][low + lags],
        )
    return sums


def lag_correlations(sums: FloatArray) -> FloatArray:
    """r [..., 2 * reach + 1] at every lag, of sums [..., 3, 2 * reach + 1]: 0 where the second does not move, NaN where the first does
    not or too little of the two overlaps.
    """
    products, first, second = sums[..., 0, :], sums[..., 1, :], sums[..., 2, :]
    found = np.divide(products, np.sqrt(np.abs(first * second)), out=np.zeros_like(products), where=(first > 0) & (second > _STILL_DEG2))
    whole = first[..., first.shape[-1] // 2, None]
    return np.where((whole > _CONSTANT) & (first >= _LEAST_OVERLAP * whole), found.clip(-1, 1), np.nan)


def peak(correlations: FloatArray, *, either_sign: bool = False) -> tuple[FloatArray, FloatArray]:
    """The highest of correlations [..., L] and how many lags it lies above the middle, both [...]; of either sign when told so.

    NaN where none is defined, and no lag where nothing correlates.
    """
    height = np.where(np.isnan(correlations), -np.inf, np.abs(correlations) if either_sign else correlations)
    place = height.argmax(-1)
    value = np.take_along_axis(correlations, place[..., None], -1)[..., 0]
    shift = (place - correlations.shape[-1] // 2).astype(np.float64)
    return value, np.where(np.isnan(value) | (value == 0), np.nan, shift)


class Correlations:
    """Pearson's r of prediction and truth, and the highest within 2 s either way with its lag."""

    def __init__(self, frame_rate_hz: float):
        self._frame_rate_hz = frame_rate_hz
        self._reach = round(LONGEST_LAG_S * frame_rate_hz)
        self._shape = (len(ROTATIONS), 3, 2 * self._reach + 1)
        self.width = int(np.prod(self._shape))

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] the `lag_sums` of truth and prediction."""
        return lag_sums(pair.truth, pair.prediction, self._reach).reshape(-1)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`correlation`, `lagged_correlation` and `lag_s`, of each angle and of the mean of their three curves."""
        found = self._correlations(sums)
        height, lag = peak(found)
        all_height, all_lag = peak(_mean(found, -2))
        now = found[..., self._reach]
        return {
            "correlation": _mean(now, -1),
            **by_angle("correlation", now),
            "lagged_correlation": all_height,
            **by_angle("lagged_correlation", height),
            "lag_s": all_lag / self._frame_rate_hz,
            **by_angle("lag", lag / self._frame_rate_hz, "_s"),
        }

    def curves(self, sums: FloatArray) -> dict[str, list[float]]:
        """`lags_s` and r at each of them for `roll`, `pitch` and `yaw`, of one sum [K]; NaN where it is undefined."""
        lags = np.arange(-self._reach, self._reach + 1) / self._frame_rate_hz
        return {"lags_s": lags.tolist(), **dict(zip(ROTATIONS, self._correlations(sums).tolist(), strict=True))}

    def _correlations(self, sums: FloatArray) -> FloatArray:
        return lag_correlations(sums.reshape(*sums.shape[:-1], *self._shape))


class SpeakerLags:
    """How the head follows the speaker's signals: the strongest correlation within 2 s, of either sign, and how late the head comes."""

    def __init__(self, signals: Sequence[str], frame_rate_hz: float):
        self._signals = tuple(signals)
        self._frame_rate_hz = frame_rate_hz
        self._reach = round(LONGEST_LAG_S * frame_rate_hz)
        self._shape = (len(self._signals), 2, len(ROTATIONS), 3, 2 * self._reach + 1)
        self.width = int(np.prod(self._shape))

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] the `lag_sums` of each signal with the prediction and with the truth."""
        sums = np.zeros(self._shape)
        for place, name in enumerate(self._signals):
            same = np.repeat(np.asarray(pair.speaker[name])[:, None], len(ROTATIONS), axis=1)
            sums[place] = [lag_sums(same, motion, self._reach) for motion in (pair.prediction, pair.truth)]
        return sums.reshape(-1)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`<signal>_<angle>_correlation` and `<signal>_<angle>_lag_s` of each signal and angle, and the same of the truth, `truth_...`."""
        height, lag = peak(lag_correlations(sums.reshape(*sums.shape[:-1], *self._shape)), either_sign=True)
        found: dict[str, FloatArray] = {}
        for place, name in enumerate(self._signals):
            for which, prefix in enumerate(("", "truth_")):
                for axis, angle in enumerate(ROTATIONS):
                    found[f"{prefix}{name}_{angle}_correlation"] = height[..., place, which, axis]
                    found[f"{prefix}{name}_{angle}_lag_s"] = lag[..., place, which, axis] / self._frame_rate_hz
        return found


class Spectra:
    """Power and coherence of motions between 0.2 and 7 Hz, by Welch's method in segments of 4 s (shorter turns: the turn, down to 1 s)."""

    def __init__(self, frame_rate_hz: float):
        self._frame_rate_hz = frame_rate_hz
        self._points = round(_SEGMENT_S * frame_rate_hz)
        frequencies = np.fft.rfftfreq(self._points, 1 / frame_rate_hz)
        self._kept = (frequencies >= BANDS_HZ["slow"][0]) & (frequencies < BANDS_HZ["fast"][1])
        self._frequencies_hz = frequencies[self._kept]
        self._shape = (4, len(ROTATIONS), len(self._frequencies_hz))
        self.width = int(np.prod(self._shape)) + 1

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] power of the truth and of the prediction and the two parts of their cross power, times the frames, and the frames."""
        frames = len(pair.truth)
        if frames < _SHORTEST_SPECTRUM_S * self._frame_rate_hz:
            return np.zeros(self.width)
        x, y = pair.truth.T, pair.prediction.T

        def density(first: FloatArray, second: FloatArray) -> FloatArray:
            length = min(frames, self._points)
            return signal.csd(first, second, self._frame_rate_hz, "hann", length, nfft=self._points)[1][:, self._kept]

        cross = density(x, y)
        powers = np.stack([density(x, x).real, density(y, y).real, cross.real, cross.imag])
        return np.append(frames * powers.reshape(-1), frames)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`spectrum_error_db`, the mean distance of the two spectra over frequencies and angles; and in each band of `BANDS_HZ` the ratio
        of predicted to true power, `power_ratio_<band>`, and the magnitude-squared coherence, `coherence_<band>`, a mean over frequencies
        and angles. Motions that have nothing in common have a coherence of about one over the number of segments.
        """
        truth, given, real, imaginary = np.moveaxis(self._densities(sums), -3, 0)
        levels = [10 * np.log10(power + _FLOOR_DEG2_HZ) for power in (truth, given)]
        both = truth * given
        coherence = np.divide(real**2 + imaginary**2, both, out=np.zeros_like(both), where=both > _FLOOR_DEG2_HZ**2)
        coherence = np.where(np.isnan(truth), np.nan, coherence)
        found = {"spectrum_error_db": np.abs(levels[1] - levels[0]).mean((-1, -2))}
        for name, (low, high) in BANDS_HZ.items():
            band = (self._frequencies_hz >= low) & (self._frequencies_hz < high)
            found[f"power_ratio_{name}"] = ratio(given[..., band].sum((-1, -2)), truth[..., band].sum((-1, -2)))
            found[f"coherence_{name}"] = coherence[..., band].mean((-1, -2))
        return found

    def curves(self, sums: FloatArray) -> dict[str, list[float]]:
        """`frequencies_hz` and the power densities in deg²/Hz of one sum [K]: `truth_roll` … `prediction_yaw`."""
        truth, given = self._densities(sums)[:2]
        powers = {**by_angle("truth", truth.T), **by_angle("prediction", given.T)}
        return {"frequencies_hz": self._frequencies_hz.tolist(), **{name: power.tolist() for name, power in powers.items()}}

    def _densities(self, sums: FloatArray) -> FloatArray:
        """[..., 4, 3, frequencies] mean densities over frames."""
        return ratio(sums[..., :-1], sums[..., -1:]).reshape(*sums.shape[:-1], *self._shape)


def _mean(values: FloatArray, axis: int = 0) -> FloatArray:
    """The mean along an axis of what is defined; NaN where nothing is, without numpy's warning."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis), defined.sum(axis).astype(np.float64))
