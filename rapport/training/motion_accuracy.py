"""How far a predicted head motion is from the true one, frame by frame: its angles, its rotation, and its rates of change.

Every frame counts alike, whichever turn it is of. Names without an angle are means over the three.
"""

import numpy as np

from rapport.core.pose import ROTATIONS, geodesic_deg, wrap
from rapport.training.metrics import FloatArray
from rapport.training.motion_pairs import MotionPair, by_angle, ratio

RATES = {"velocity": "deg_s", "acceleration": "deg_s2", "jerk": "deg_s3"}
"""The first three derivatives of an angle, and their units in the names of figures."""


def rates_of(degrees: FloatArray, order: int, frame_rate_hz: float) -> FloatArray:
    """[T - order, 3] the derivative of angles [T, 3] by differences: 1 is velocity in deg/s, 2 acceleration, 3 jerk."""
    return np.diff(degrees, order, axis=0) * frame_rate_hz**order


class PoseErrors:
    """Errors of the pose in degrees.

    `mae_deg` and `rmse_deg` take an angle the short way round. `offset_removed_mae_deg` first takes each turn's mean error of an angle
    away: where a head is held and how the markers were calibrated cannot be told from somebody else's voice. `geodesic_deg` is the mean
    angle of the rotation between the poses.
    """

    width = 3 * len(ROTATIONS) + 2

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[11] sums of absolute, squared and offset-removed errors of each angle, of the rotation, and the number of frames."""
        error = wrap(pair.prediction - pair.truth)
        moved = pair.prediction - pair.truth
        moved = moved - moved.mean(0)
        turned = geodesic_deg(pair.truth, pair.prediction).sum()
        return np.array([*np.abs(error).sum(0), *(error**2).sum(0), *np.abs(moved).sum(0), turned, len(error)], dtype=np.float64)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`mae`, `rmse` and `offset_removed_mae`, of each angle and of all, and `geodesic`: all `_deg`."""
        means = ratio(sums[..., :-1], sums[..., -1:])
        absolute, squared, moved = means[..., 0:3], means[..., 3:6], means[..., 6:9]
        return {
            "mae_deg": absolute.mean(-1),
            **by_angle("mae", absolute, "_deg"),
            "rmse_deg": np.sqrt(squared.mean(-1)),
            **by_angle("rmse", np.sqrt(squared), "_deg"),
            "offset_removed_mae_deg": moved.mean(-1),
            **by_angle("offset_removed_mae", moved, "_deg"),
            "geodesic_deg": means[..., 9],
        }


class RateErrors:
    """Mean absolute errors of velocity, acceleration and jerk: what is left once only how the head moves counts."""

    width = 2 * len(RATES)

    def __init__(self, frame_rate_hz: float):
        self._frame_rate_hz = frame_rate_hz

    def statistics(self, pair: MotionPair) -> FloatArray:
        """[6] for each derivative the sum of absolute errors over frames and angles, and their number."""
        errors = [rates_of(pair.prediction - pair.truth, order, self._frame_rate_hz) for order in range(1, len(RATES) + 1)]
        return np.array([[np.abs(error).sum(), error.size] for error in errors]).reshape(-1)

    def scores(self, sums: FloatArray) -> dict[str, FloatArray]:
        """`velocity_mae_deg_s`, `acceleration_mae_deg_s2`, `jerk_mae_deg_s3`."""
        return {f"{name}_mae_{unit}": ratio(sums[..., 2 * i], sums[..., 2 * i + 1]) for i, (name, unit) in enumerate(RATES.items())}
