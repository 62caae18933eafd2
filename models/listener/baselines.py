"""Motion without listening: what a model has to beat. Degrees; axes: T frames, A = 3 angles (roll, pitch, yaw).

The mean pose can always be given. The other two look at the listener's true motion, as far as it is past, and so tell how much of an
error is the pose that the listener had anyway.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS

Degrees = npt.NDArray[np.float64]


def mean_pose(turns: Iterable[npt.NDArray[np.floating]]) -> Degrees:
    """[3] the mean over all frames of the training turns, [T, 3] each. Raises RapportError when there is no frame."""
    total, frames = np.zeros(len(ROTATIONS)), 0
    for turn in turns:
        total += np.asarray(turn, np.float64).sum(0)
        frames += len(turn)
    if not frames:
        raise RapportError("there is no frame to take the mean pose of: the training split is empty")
    return total / frames


def hold_mean(truth: npt.NDArray[np.floating], mean: Degrees) -> Degrees:
    """[T, 3] the mean pose [3] of the training turns, as long as the true motion [T, 3]."""
    return np.repeat(mean[None], len(truth), axis=0)


def hold_start(truth: npt.NDArray[np.floating], mean: Degrees) -> Degrees:
    """[T, 3] the pose in which the listener began the turn."""
    return np.repeat(np.asarray(truth[:1], np.float64), len(truth), axis=0)


def running_mean(truth: npt.NDArray[np.floating], mean: Degrees) -> Degrees:
    """[T, 3] the mean of the listener's motion before each frame, and of the first frame the pose itself."""
    exact = np.asarray(truth, np.float64)
    if len(exact) < 2:
        return exact.copy()
    past = np.cumsum(exact[:-1], axis=0) / np.arange(1, len(exact))[:, None]
    return np.concatenate([exact[:1], past])


BASELINES: Mapping[str, Callable[[npt.NDArray[np.floating], Degrees], Degrees]] = {
    "mean_pose": hold_mean,
    "start_pose": hold_start,
    "running_mean": running_mean,
}
"""Each gives [T, 3] of the true motion [T, 3] of a turn and the mean pose [3] of the training turns."""
