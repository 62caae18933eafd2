"""Head pose as roll, pitch and yaw in degrees, and the few operations on it that every part shares. Axes: T frames, A = 3 angles.

The head looks along x, its left ear points along y and its crown along z, right-handed: roll turns about x, pitch about y, yaw about z.
So a positive roll lowers the right ear, a positive pitch the nose, and a positive yaw looks to the head's own left. The rotation is
R = Rz(yaw) Ry(pitch) Rx(roll): the head is rolled first, then pitched, then turned, each about the axes of the room.

    at_30_hz = resample(times_s, degrees, (np.arange(frames) + 1) / 30)
    error = geodesic_deg(truth, prediction)
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

ROTATIONS = ("roll", "pitch", "yaw")
"""The order of the angles in every array [T, 3]."""

DECIMALS = 6
"""Of times and angles in what is written and sent: more than any marker or motor can tell."""

_TURN_DEG = 360.0


class PoseFrame(NamedTuple):
    """The pose at one time."""

    time_s: float
    """Seconds since the first sample of the audio."""
    roll: float
    """Degrees."""
    pitch: float
    """Degrees."""
    yaw: float
    """Degrees."""


def csv_of(poses: Iterable[PoseFrame]) -> str:
    """The poses as a table, one a line below the names of the columns."""
    lines = [",".join(f"{value:.{DECIMALS}f}" for value in pose) for pose in poses]
    return "\n".join([",".join(PoseFrame._fields), *lines]) + "\n"


def wrap(degrees: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The same angles [...] in [-180, 180): of a difference of two angles, the short way round."""
    angles = np.asarray(degrees, dtype=np.float64)
    half = _TURN_DEG / 2
    # Where nothing is to be done nothing is: the remainder would round small angles.
    return np.where((angles >= -half) & (angles < half), angles, (angles + half) % _TURN_DEG - half)


def unwrap(degrees: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The same angles [T, 3] without jumps: each frame is moved by whole turns to lie within 180 degrees of the one before."""
    return np.unwrap(np.asarray(degrees, dtype=np.float64), axis=0, period=_TURN_DEG)


def resample(times_s: npt.ArrayLike, degrees: npt.ArrayLike, at_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Angles [T, 3] at the times `at_s` [T], of angles [N, 3] measured at `times_s` [N] seconds.

    Linear between the unwrapped measurements, each angle for itself; before the first and after the last it is held. The result is
    unwrapped too, and can lie beyond 180 degrees. Raises RapportError when there is no measurement, when a number is not finite, or
    when the times do not increase; ValueError when the shapes disagree.
    """
    times, angles, wanted = (np.asarray(values, dtype=np.float64) for values in (times_s, degrees, at_s))
    if times.ndim != 1 or wanted.ndim != 1 or angles.shape != (len(times), len(ROTATIONS)):
        raise ValueError(f"wanted times [N], angles [N, 3] and times [T]; got {times.shape}, {angles.shape} and {wanted.shape}")
    if not len(times):
        raise RapportError("no pose to resample: wanted at least one measurement")
    for name, values in (("times of the poses", times), ("angles", angles), ("wanted times", wanted)):
        if bad := int(values.size - np.isfinite(values).sum()):
            raise RapportError(f"{bad} of the {values.size} {name} are not finite: drop those rows, or the recording")
    if len(back := np.flatnonzero(np.diff(times) <= 0)):
        at = int(back[0])
        raise RapportError(f"pose {at + 1} is at {times[at + 1]:g} s, after one at {times[at]:g} s: wanted times that increase")
    smooth = unwrap(angles)
    return np.stack([np.interp(wanted, times, smooth[:, axis]) for axis in range(len(ROTATIONS))], axis=1)


def rotation(degrees: npt.ArrayLike) -> "Rotation":
    """The rotations of angles [T, 3]; `.as_matrix()` [T, 3, 3] turns a point of the head into one of the room (see above for the axes)."""
    from scipy.spatial.transform import Rotation

    # Capitals: about the axes that move with the head, from the last turn to the first, which is the product above.
    return Rotation.from_euler("ZYX", np.asarray(degrees, dtype=np.float64).reshape(-1, 3)[:, ::-1], degrees=True)


def geodesic_deg(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The angle [T] of the one rotation that leads from pose to pose of two motions [T, 3], 0 to 180 degrees.

    Full turns make no difference, and neither does a recording whose signs of any two angles are the other way round, in both motions.
    Raises ValueError when the shapes differ; a motion must be finite.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != len(ROTATIONS):
        raise ValueError(f"wanted two motions [T, 3] of one length, got {first.shape} and {second.shape}")
    if not len(first):
        return np.zeros(0)
    return np.rad2deg((rotation(first).inv() * rotation(second)).magnitude())
