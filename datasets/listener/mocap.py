"""Head motion as IEMOCAP's motion capture tells it: one text file an utterance or dialogue, 120 rows a second.

Two lines of header, then one row a line between spaces: number, time in seconds, pitch, roll and yaw in degrees, and three translations,
which are not read. Axes: N rows, 3 angles in the order of `rapport.core.pose.ROTATIONS`, which is not that of the file.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS

COLUMNS = ("pitch", "roll", "yaw")
"""Angles as the file has them, after number and time."""

Reason = Literal["motion_missing", "motion_empty", "motion_row", "motion_times"]


class MotionError(RapportError):
    """Motion that cannot be used: `reason` is a code for tables and tests, the text is for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)  # both, so that the error survives a trip between processes
        self.reason: Reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Poses in the order of time."""

    times_s: npt.NDArray[np.float64]
    """[N], increasing, on the clock of the file."""
    degrees: npt.NDArray[np.float64]
    """[N, 3] roll, pitch and yaw, finite."""
    lost: int
    """Rows of the file that are not among the N, because the markers could not be followed: a number in them is NaN or no number."""


def read_motion(path: str) -> Motion:
    """The motion in a file (path or URI).

    Lines that do not begin with a number are passed over, wherever they stand. Raises MotionError that names the file when it cannot be
    read, holds no usable row, a row is cut short, or the times do not increase.
    """
    try:
        data = storage.read_bytes(path)
    except OSError as error:
        raise MotionError("motion_missing", f"{path} cannot be read: {error.strerror or error}") from error
    return parse_motion(data.decode("utf-8", errors="replace"), path)


def parse_motion(text: str, name: str) -> Motion:
    """The motion in the text of a file, which `name` stands for in errors."""
    rows: list[list[float]] = []
    wanted = 2 + len(COLUMNS)
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells or not math.isfinite(_number(cells[0])):
            continue
        if len(cells) < wanted:
            raise MotionError("motion_row", f"{name} line {number}: wanted number, time, {', '.join(COLUMNS)}, found {line.strip()[:80]!r}")
        rows.append([_number(cell) for cell in cells[1:wanted]])
    table = np.array(rows, dtype=np.float64).reshape(-1, wanted - 1)
    usable = np.isfinite(table).all(1)
    good, lost = table[usable], int((~usable).sum())
    if not len(good):
        raise MotionError("motion_empty", f"{name} holds no pose: of its {len(table)} rows {lost} have a NaN")
    if len(back := np.flatnonzero(np.diff(good[:, 0]) <= 0)):
        earlier, later = good[back[0] : back[0] + 2, 0]
        raise MotionError(
            "motion_times", f"{name}: the row at {later:g} s comes after the one at {earlier:g} s, wanted times that increase"
        )
    return Motion(good[:, 0], good[:, [1 + COLUMNS.index(angle) for angle in ROTATIONS]], lost)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
