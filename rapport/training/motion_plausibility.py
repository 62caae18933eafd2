"""Whether a predicted head motion looks like a head's, frame by frame right or not: how much and how fast it moves, and what windows of
it look like.

Values of the prediction stand beside those of the truth (`truth_...`) or as a ratio to them, 1 at best.
"""

from functools import cached_property

import numpy as np
from scipy.fft import dct

from rapport.core.pose import ROTATIONS
from rapport.training.metrics import FloatArray
from rapport.training.motion_accuracy import RATES, rates_of
from rapport.training.motion_pairs import MotionPair, by_angle, ratio

_WINDOW_S, _HOP_S = 1.0, 0.5
_COEFFICIENTS = 14  # cosines of 0.5, 1 ... 7 Hz over a window of 1 s


class Spread:
    """How far the head moves about its mean within a turn, as a ratio of prediction to truth."""

    width = 4 * len(ROTATIONS)

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[12] squared distances from the mean, and range, of each angle of truth and prediction."""
        both = (pair.truth, pair.prediction)
        squares = [((motion - motion.mean(0)) ** 2).sum(0) for motion in both]
        return np.stack([*squares, *(np.ptp(motion, axis=0) for motion in both)]).reshape(-1)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`std_ratio` and `range_ratio`, of each angle and of all, and `variance_ratio` of all."""
        squares, given_squares, ranges, given_ranges = np.moveaxis(sums.reshape(*sums.shape[:-1], 4, len(ROTATIONS)), -2, 0)
        variance = ratio(given_squares.sum(-1), squares.sum(-1))
        return {
            "variance_ratio": variance,
            "std_ratio": np.sqrt(variance),
            **by_angle("std_ratio", np.sqrt(ratio(given_squares, squares))),
            "range_ratio": ratio(given_ranges.sum(-1), ranges.sum(-1)),
            **by_angle("range_ratio", ratio(given_ranges, ranges)),
        }


class RateDistributions:
    """How fast the head moves: the distribution over frames of speed, acceleration and jerk, each the length of a vector of three rates.

    A value is shared between the two nearest of a grid of values, so that the mean stays exact and so does the Wasserstein distance of
    single values; that of distributions is true to within a step of the grid, a tenth.
    """

    def __init__(self, frame_rate_hz: float):
        self._frame_rate_hz = frame_rate_hz
        # From a drift that nobody sees to the jerk of a jump by half a turn at 60 Hz.
        self._grid = np.concatenate([[0.0], np.geomspace(0.1, 1e8, 9 * 24 + 1)])
        self.width = 2 * len(RATES) * len(self._grid)

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] for each rate how often each value of the grid occurs, in truth and in prediction."""
        counts = [self._counts(rates_of(motion, n, self._frame_rate_hz)) for n in (1, 2, 3) for motion in (pair.truth, pair.prediction)]
        return np.concatenate(counts)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """The means `speed_deg_s`, `acceleration_deg_s2` and `jerk_deg_s3`, the same of the truth, `truth_...`, and the Wasserstein
        distances (mean distance of equal quantiles) `speed_wasserstein_deg_s` and so on.
        """
        counts = sums.reshape(*sums.shape[:-1], len(RATES), 2, len(self._grid))
        shares = ratio(counts, counts.sum(-1, keepdims=True))
        means = shares @ self._grid
        apart = np.abs(np.cumsum(shares[..., 0, :] - shares[..., 1, :], axis=-1))[..., :-1] @ np.diff(self._grid)
        found: dict[str, FloatArray] = {}
        for place, (rate, unit) in enumerate(RATES.items()):
            name = "speed" if rate == "velocity" else rate
            found[f"{name}_{unit}"] = means[..., place, 1]
            found[f"truth_{name}_{unit}"] = means[..., place, 0]
            found[f"{name}_wasserstein_{unit}"] = apart[..., place]
        return found

    def _counts(self, rates: FloatArray) -> FloatArray:
        """[G] how many of the vectors [T, 3] have each length of the grid."""
        lengths = np.minimum(np.linalg.norm(rates, axis=1), self._grid[-1])
        low = np.clip(np.searchsorted(self._grid, lengths, "right") - 1, 0, len(self._grid) - 2)
        above = (lengths - self._grid[low]) / (self._grid[low + 1] - self._grid[low])
        size = len(self._grid)
        return np.asarray(np.bincount(low, 1 - above, size) + np.bincount(low + 1, above, size), np.float64)


class MotionWindows:
    """The Fréchet distance of windows of motion: of the Gaussians that have the means and covariances of true and predicted windows.

    A window is 1 s of the three angles about their means, every 0.5 s, as cosines of 0.5 to 7 Hz: how it moves and how the angles move
    together, but not where the head is held. The cosines are scaled so that their squares add up to the window's variance, which
    makes the unit deg² at any frame rate: a head that does not move has the variance of true windows, and their mean, for a distance.
    """

    def __init__(self, frame_rate_hz: float):
        self._frames = round(_WINDOW_S * frame_rate_hz)
        self._hop = max(1, round(_HOP_S * frame_rate_hz))
        self._size = len(ROTATIONS) * min(_COEFFICIENTS, self._frames - 1)
        self.width = 2 * self._one

    @property
    def _one(self) -> int:
        return 1 + self._size + len(self._pairs[0])

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        return np.triu_indices(self._size)  # a covariance is symmetric, so half of it is kept

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[K] number, sum and sums of products of the windows of truth and of prediction."""
        if len(pair.truth) < self._frames:
            return np.zeros(self.width)
        rows, columns = self._pairs
        parts = []
        for motion in (pair.truth, pair.prediction):
            windows = self._windows(motion)
            parts += [[len(windows)], windows.sum(0), (windows.T @ windows)[rows, columns]]
        return np.concatenate(parts)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`frechet_deg2`, and no number before there are two windows."""
        means, covariances, counts = [], [], sums[..., 0]
        for part in (sums[..., : self._one], sums[..., self._one :]):
            mean = ratio(part[..., 1 : 1 + self._size], part[..., :1])
            products = np.zeros((*sums.shape[:-1], self._size, self._size))
            rows, columns = self._pairs
            products[..., rows, columns] = products[..., columns, rows] = ratio(part[..., 1 + self._size :], part[..., :1])
            means.append(mean)
            covariances.append(products - mean[..., :, None] * mean[..., None, :])
        defined = counts >= 2
        found = np.full(sums.shape[:-1], np.nan)
        found[defined] = frechet(means[0][defined], covariances[0][defined], means[1][defined], covariances[1][defined])
        return {"frechet_deg2": found}

    def _windows(self, motion: FloatArray) -> FloatArray:
        """[windows, D]"""
        cut = np.lib.stride_tricks.sliding_window_view(motion, self._frames, axis=0)[:: self._hop]  # [windows, 3, frames]
        cosines = dct(cut, type=2, norm="ortho", axis=-1)[..., 1 : 1 + self._size // len(ROTATIONS)] / np.sqrt(self._frames)
        return cosines.reshape(len(cut), self._size)


def frechet(mean: FloatArray, covariance: FloatArray, other_mean: FloatArray, other_covariance: FloatArray) -> FloatArray:
    """The squared Fréchet (2-Wasserstein) distance [...] of Gaussians with means [..., D] and covariances [..., D, D].

    |m - n|² + tr(C + D - 2 (C D)^(1/2)). The trace of the root is taken from the eigenvalues of C^(1/2) D C^(1/2), which is symmetric:
    unlike a matrix root it stays real where few windows leave a covariance short of full rank.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    shared = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(0)).sum(-1)
    traces = np.trace(covariance, axis1=-2, axis2=-1) + np.trace(other_covariance, axis1=-2, axis2=-1)
    return np.maximum(((mean - other_mean) ** 2).sum(-1) + traces - 2 * shared, 0.0)
