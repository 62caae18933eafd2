"""From what a network tells of each frame to the pose that is given: drawn, held when nothing is heard, smoothed, limited.

One object follows one motion, frame by frame, so that a stream and a recording pass the same steps in the same order.
"""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.models.listener.config import ListenerConfig
from rapport.models.listener.heads import Angles, CorrelatedNoise
from rapport.models.listener.limits import Limiter
from rapport.models.listener.smoothing import make_smoother

SANE = 1e9
"""No number of a stream is larger; sums of squares of such numbers stay finite in single precision."""
# Angles farther out than this say nothing, and the speeds that a filter makes of those within stay below `SANE`.
_FARTHEST_DEG = 1e6

_Number = Annotated[float, Field(ge=-SANE, le=SANE, allow_inf_nan=False)]
_Finite = tuple[_Number, _Number, _Number]
_Wide = Annotated[int, Field(ge=0, lt=2**128)]


class ShaperState(Config):
    """All that a shaper remembers, as JSON."""

    smoother: tuple[_Finite, ...] = Field(max_length=2)
    """State of the filter."""
    last: _Finite
    """The pose of the last frame."""
    held: _Finite | None
    """The pose that is held, or left, while nothing is heard."""
    noise: _Finite | None = None
    """The noise of the last frame."""
    noise_position: tuple[_Wide, _Wide] | None = None
    """Where the noise's generator stands; none where nothing is drawn."""


class MotionShaper:
    """The poses of one motion. With a seed they are drawn, without one they are the most probable ones."""

    def __init__(self, config: ListenerConfig, rest: Angles, correlation: Sequence[float], seed: int | None = None) -> None:
        """`rest` is the resting pose, degrees; `correlation` [3] that of the noise.

        Raises RapportError for a seed where the head tells no deviation.
        """
        rate_hz = config.front_end.frame_rate_hz
        if seed is not None and config.head.kind != "gaussian":
            raise RapportError(f"seed is {seed}, but nothing can be drawn: head.kind is {config.head.kind}, wanted gaussian")
        self._rest, self._idle, self._temperature = rest, config.idle, config.head.temperature
        self._smooth = make_smoother(config.smoothing, rate_hz)
        self._limit = Limiter(config.limits, rate_hz, rest)
        self._noise = None if seed is None else CorrelatedNoise(correlation, seed)
        self._held: Angles | None = None

    def __call__(self, mean: Sequence[float], deviation: Sequence[float] | None = None) -> Angles:
        """The pose of the next frame, given mean and deviation in degrees; an angle that is no number stays where it was."""
        self._held = None
        a, b, c = mean
        if self._noise is not None and deviation is not None:
            noise = self._noise.draw()
            a, b, c = (m + self._temperature * d * n for m, d, n in zip(mean, deviation, noise, strict=True))
        if not (abs(a) <= _FARTHEST_DEG and abs(b) <= _FARTHEST_DEG and abs(c) <= _FARTHEST_DEG):  # NaN compares false
            # The filter would never forget it.
            a, b, c = (new if abs(new) <= _FARTHEST_DEG else old for new, old in zip((a, b, c), self._limit.last, strict=True))
        return self._limit(self._smooth((a, b, c)))

    def idle(self, lost_s: float) -> Angles:
        """The pose of the next frame when nothing has been heard for `lost_s` seconds: held for a while, then ever nearer to rest."""
        if self._held is None:
            self._held = self._limit.last
        left = math.exp(-max(0.0, lost_s - self._idle.hold_s) / self._idle.decay_s)
        a, b, c = (rest + left * (held - rest) for rest, held in zip(self._rest, self._held, strict=True))
        return self._limit(self._smooth((a, b, c)))

    @property
    def state(self) -> ShaperState:
        """All that it remembers."""
        noise = self._noise
        return ShaperState(
            smoother=self._smooth.state,
            last=self._limit.last,
            held=self._held,
            noise=None if noise is None else noise.values,
            noise_position=None if noise is None else noise.position,
        )

    def resume(self, state: ShaperState) -> None:
        """Go on where another shaper of the same settings was.

        Raises RapportError when that one drew its motion and this one does not, or the state is of another filter.
        """
        if (state.noise_position is None) != (self._noise is None):
            drawn = "drawn" if state.noise_position else "not drawn"
            raise RapportError(f"the motion of the token is {drawn}: give the stream {'a' if state.noise_position else 'no'} seed")
        if len(state.smoother) not in (0, self._smooth.size):
            raise RapportError(f"the token's filter has {len(state.smoother)} values: wanted {self._smooth.size}, start a new stream")
        self._smooth.state, self._held = state.smoother, state.held
        self._limit.resume(state.last)
        if self._noise is not None and state.noise_position is not None:
            self._noise.resume(state.noise, state.noise_position)
