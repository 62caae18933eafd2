"""Filters over motion that use no future, keep their state between frames, and count what they cost.

Plain Python: with three angles a frame, that is quicker than any array.
"""

import math
from typing import Protocol

from rapport.models.listener.config import SmoothingConfig
from rapport.models.listener.heads import Angles


class Smoother(Protocol):
    """A filter over one motion."""

    size: int
    """How many triples its state has."""
    state: tuple[Angles, ...]
    """All that it remembers; empty before the first frame."""

    def __call__(self, angles: Angles) -> Angles:
        """The smoothed angles of the next frame."""
        ...


def make_smoother(config: SmoothingConfig, frame_rate_hz: int) -> Smoother:
    """The filter that the settings name, before its first frame."""
    if config.kind == "none":
        return _Unchanged()
    if config.kind == "ema":
        return ExponentialMean(config.ema_s, frame_rate_hz)
    return OneEuro(config, frame_rate_hz)


def latency_s(config: SmoothingConfig, frame_rate_hz: int) -> float:
    """The delay of slow motion, in seconds; fast motion passes a one-euro filter sooner than this."""
    if config.kind == "none":
        return 0.0
    if config.kind == "ema":
        keep = math.exp(-1 / (config.ema_s * frame_rate_hz))
        return keep / (1 - keep) / frame_rate_hz
    return 1 / (2 * math.pi * config.min_cutoff_hz)


class _Unchanged:
    size = 0

    def __init__(self) -> None:
        self.state: tuple[Angles, ...] = ()

    def __call__(self, angles: Angles) -> Angles:
        return angles


class ExponentialMean:
    """Each frame moves a fixed share of the way to the new angles."""

    size = 1

    def __init__(self, time_constant_s: float, frame_rate_hz: int) -> None:
        self._share = 1 - math.exp(-1 / (time_constant_s * frame_rate_hz))
        self.state: tuple[Angles, ...] = ()

    def __call__(self, angles: Angles) -> Angles:
        """The smoothed angles of the next frame; the first frame as it is."""
        if self.state:
            (last,) = self.state
            angles = _towards(last, angles, self._share)
        self.state = (angles,)
        return angles


class OneEuro:
    """The one-euro filter (Casiez, Roussel & Vogel 2012, doi:10.1145/2207676.2208639): a cut-off that rises with the speed."""

    size = 2

    def __init__(self, config: SmoothingConfig, frame_rate_hz: int) -> None:
        self._rate_hz, self._rest_hz, self._beta = frame_rate_hz, config.min_cutoff_hz, config.beta
        self._speed_share = self._share(config.speed_cutoff_hz)
        self.state: tuple[Angles, ...] = ()

    def __call__(self, angles: Angles) -> Angles:
        """The smoothed angles of the next frame; the first frame as it is."""
        if not self.state:
            self.state = (angles, (0.0, 0.0, 0.0))
            return angles
        last, speed = self.state
        a, b, c = (self._rate_hz * (new - old) for new, old in zip(angles, last, strict=True))
        speed = _towards(speed, (a, b, c), self._speed_share)
        a, b, c = (
            old + self._share(self._rest_hz + self._beta * abs(v)) * (new - old) for old, new, v in zip(last, angles, speed, strict=True)
        )
        self.state = ((a, b, c), speed)
        return a, b, c

    def _share(self, cutoff_hz: float) -> float:
        """How far a first-order filter of this cut-off moves in one frame."""
        return 1 / (1 + self._rate_hz / (2 * math.pi * cutoff_hz))


def _towards(old: Angles, new: Angles, share: float) -> Angles:
    return (
        old[0] + share * (new[0] - old[0]),
        old[1] + share * (new[1] - old[1]),
        old[2] + share * (new[2] - old[2]),
    )
