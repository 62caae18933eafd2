"""What is told of each angle, and motion drawn from it. Axes: T frames, C channels, A = 3 angles (roll, pitch, yaw)."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS

Angles = tuple[float, float, float]
"""Roll, pitch and yaw of one frame, degrees."""

_STEADIEST = 0.999  # a correlation of 1 would never move
_LOG_DEVIATION = (-6.0, 2.0)  # of the scaled angles: neither a spike of likelihood nor a head that shakes itself off


class Motion(NamedTuple):
    """Motion as a model tells it."""

    mean: Tensor
    """[..., 3] degrees."""
    log_deviation: Tensor | None
    """[..., 3] natural logarithm of the deviation in degrees; None where only a point is told."""


class MotionHead(nn.Module):
    """One linear layer to three angles, and to the logarithms of their deviations where the head is gaussian."""

    def __init__(self, width: int, gaussian: bool) -> None:
        """`width` is C."""
        super().__init__()
        self.gaussian = gaussian
        self.output = nn.Linear(width, len(ROTATIONS) * (2 if gaussian else 1))

    def forward(self, hidden: Tensor, deviation: bool = True) -> Motion:
        """Scaled angles from hidden [..., C]; `deviation` false leaves the deviation out, for whoever has no use for it."""
        values = self.output(hidden)
        angles = len(ROTATIONS)
        log_deviation = values[..., angles:].clamp(*_LOG_DEVIATION) if self.gaussian and deviation else None
        return Motion(values[..., :angles], log_deviation)


class CorrelatedNoise:
    """Normal noise of unit deviation, each angle by itself, that keeps `correlation` of its value from frame to frame.

    Frames drawn by themselves would make a head tremble: what a model cannot tell about a head moves as slowly as the head. The same seed
    gives the same noise, however it is drawn.
    """

    def __init__(self, correlation: Iterable[float], seed: int) -> None:
        self._keep = tuple(correlation)
        self._fresh = tuple((1 - keep * keep) ** 0.5 for keep in self._keep)
        self.values: Angles | None = None
        """The noise of the last frame; None before the first."""
        if seed < 0:
            raise RapportError(f"seed is {seed}: wanted 0 or more")
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def draw(self) -> Angles:
        """The noise of the next frame."""
        drawn = self._generator.standard_normal(len(self._keep)).tolist()
        if self.values is not None:
            drawn = [k * old + f * new for k, old, f, new in zip(self._keep, self.values, self._fresh, drawn, strict=True)]
        self.values = tuple(drawn)
        return self.values

    @property
    def position(self) -> tuple[int, int]:
        """Where the generator stands."""
        state = self._generator.bit_generator.state["state"]
        return state["state"], state["inc"]

    def resume(self, values: Angles | None, position: tuple[int, int]) -> None:
        """Go on where another noise of the same correlation was."""
        self.values = values
        state = {"state": position[0], "inc": position[1]}
        self._generator.bit_generator.state = {"bit_generator": "PCG64", "state": state, "has_uint32": 0, "uinteger": 0}


def fit_correlation(residuals: Iterable[npt.NDArray[np.floating]]) -> npt.NDArray[np.float32]:
    """[3] how much of a residual is still there one frame later, of the residuals [T, 3] of training turns over their own deviation.

    Between 0 and 0.999; 0 where there are no two frames in a row.
    """
    products, squares = np.zeros(len(ROTATIONS)), np.zeros(len(ROTATIONS))
    for turn in residuals:
        exact = np.asarray(turn, np.float64)
        products += (exact[1:] * exact[:-1]).sum(0)
        squares += (np.square(exact[1:]) + np.square(exact[:-1])).sum(0) / 2
    return np.divide(products, squares, out=np.zeros(len(ROTATIONS)), where=squares > 0).clip(0, _STEADIEST).astype(np.float32)
