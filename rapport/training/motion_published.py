"""The evaluation of the published listener model (Ghosh, Li & Guha, arXiv 2409.20188), as its code computes it.

It is kept so that figures can be put beside the published table, and is not a fair measure of motion: the prediction alone is smoothed, by
a filter that sees the future, shifts by 0.8 frame and takes out what is faster than about 1.6 Hz at 30 frames a second; its zero
padding draws the ends of every turn towards 0 degrees; angles are not wrapped; and the figure behind the ± is the mean spread of the
error within a turn, not across folds. `motion_metrics` has what is to be believed.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from rapport.core.pose import ROTATIONS
from rapport.training.metrics import FloatArray

_TAPS, _CENTRE, _SIGMA_FRAMES = 10, 5, 3.0
_BEFORE = (_TAPS - 1) // 2  # an even number of taps cannot be centred: four frames before and five after, as torch pads "same"
KERNEL: FloatArray = np.exp(-0.5 * ((np.arange(_TAPS) - _CENTRE) / _SIGMA_FRAMES) ** 2)
KERNEL /= KERNEL.sum()


def published_smoothing(degrees: npt.ArrayLike) -> FloatArray:
    """[T, 3] the motion [T, 3] after the filter: ten taps of a Gaussian with a deviation of 3 frames, zeros beyond the ends."""
    angles = np.asarray(degrees, dtype=np.float64)
    padded = np.pad(angles, ((_BEFORE, _TAPS - 1 - _BEFORE), (0, 0)))
    return np.stack([np.correlate(column, KERNEL, "valid") for column in padded.T], axis=1) if len(angles) else angles


def published_scores(turns: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]]) -> Mapping[str, float]:
    """The published figures of (truth [T, 3], prediction [T, 3]) of each turn, each an average over turns, long and short alike. The filter
    is put over the prediction here.

    `mae_<angle>_deg`, `within_turn_std_<angle>_deg` (the deviation of the signed error over time, what the table puts behind ±) and
    `pearson_<angle>` (computed but not published; a turn whose truth or prediction does not move has none); without an angle, the mean of
    the three. Empty turns are left out. Raises ValueError when the lengths of a turn differ.
    """
    rows = [_turn(np.asarray(truth, np.float64), published_smoothing(prediction)) for truth, prediction in turns if np.size(truth)]
    found: dict[str, float] = {"turns": float(len(rows))}
    for place, (name, unit) in enumerate((("mae", "_deg"), ("within_turn_std", "_deg"), ("pearson", ""))):
        columns = list(np.stack([row[place] for row in rows]).T) if rows else [np.zeros(0)] * len(ROTATIONS)
        if name == "pearson":
            columns = [column[~np.isnan(column)] for column in columns]
        means = [float(np.mean(column)) if len(column) else float("nan") for column in columns]
        found[f"{name}{unit}"] = float(np.mean(means))
        found |= {f"{name}_{angle}{unit}": mean for angle, mean in zip(ROTATIONS, means, strict=True)}
    return found


def _turn(truth: FloatArray, prediction: FloatArray) -> FloatArray:
    """[3, 3] mean absolute error, deviation of the error and Pearson's r of each angle of a turn."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth of shape {truth.shape}, prediction of shape {prediction.shape}: wanted two of [T, 3]")
    error = prediction - truth
    x, y = truth - truth.mean(0), prediction - prediction.mean(0)
    scale = np.sqrt((x**2).sum(0) * (y**2).sum(0))
    pearson = np.divide((x * y).sum(0), scale, out=np.full(len(ROTATIONS), np.nan), where=scale > 0)
    return np.stack([np.abs(error).mean(0), error.std(0), pearson])
