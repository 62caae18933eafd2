"""Angle and speed limits: the last step before a pose is given."""

import math

from rapport.models.listener.config import LimitsConfig
from rapport.models.listener.heads import Angles


class Limiter:
    """Poses that a neck can hold, and reach from the pose before."""

    def __init__(self, config: LimitsConfig, frame_rate_hz: int, rest: Angles) -> None:
        """`rest` is where the head is before the first frame, degrees."""
        self._ends = config.angles_deg
        self._step = config.speed_deg_s / frame_rate_hz
        self.last: Angles = _clip(rest, self._ends)
        """The pose of the last frame, or the resting pose before the first."""

    def __call__(self, angles: Angles) -> Angles:
        """The pose nearest to `angles` that is allowed; an angle that is not finite stays where it was."""
        step = self._step
        a, b, c = (
            min(max(new, old - step), old + step) if math.isfinite(new) else old
            for new, old in zip(_clip(angles, self._ends), self.last, strict=True)
        )
        self.last = (a, b, c)
        return self.last

    def resume(self, last: Angles) -> None:
        """Go on from a pose, as far as it is allowed."""
        self.last = _clip(last, self._ends)


def _clip(angles: Angles, ends: Angles) -> Angles:
    a, b, c = (min(max(angle, -end), end) if math.isfinite(angle) else angle for angle, end in zip(angles, ends, strict=True))
    return a, b, c
