"""What a job costs at another size: a part that one process does alone, and a part that all processors share.

seconds(hours, processors) = fixed + alone * hours + shared * hours / processors
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class _Figures:
    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(**told)


@dataclass(frozen=True)
class Work(_Figures):
    """One run that was measured."""

    hours: float
    """Of audio."""
    processors: int
    alone_s: float
    """Before and after the part that is shared."""
    shared_s: float
    """Wall time of the part that all processors share."""
    peak_mib: float
    """Of all processes together, without mapped files and what they share."""


@dataclass(frozen=True)
class Cost(_Figures):
    """What a job takes."""

    fixed_s: float
    """However small the work is."""
    alone_s_per_hour: float
    """Of one process, for each hour of audio."""
    shared_s_per_hour: float
    """Of a processor, for each hour of audio."""


@dataclass(frozen=True)
class Machine(_Figures):
    """Of which a cluster is made."""

    processors: int
    price: float = 0.0
    """An hour."""
    start_s: float = 0.0
    """From asking for it to its first work."""


@dataclass(frozen=True)
class Check(_Figures):
    """How well runs agree with the cost that was fitted to them."""

    time_off: float
    """Of the run that is farthest from the fit, the difference as a share of its time."""
    memory_growth: float
    """From the smallest run's peak to the largest's, as a share of the first."""

    @classmethod
    def of(cls, cost: Cost, work: Sequence[Work]) -> "Check":
        """The figures of runs, smallest first."""
        off = [abs(seconds_of(cost, w.hours, w.processors) - w.alone_s - w.shared_s) / (w.alone_s + w.shared_s) for w in work]
        return cls(max(off), work[-1].peak_mib / work[0].peak_mib - 1)


def fit(work: Sequence[Work]) -> Cost:
    """The cost that fits runs of several sizes best, each run's difference counted as a share of its time."""
    hours = np.array([w.hours for w in work])
    alone, shared = (np.array([getattr(w, name) for w in work]) for name in ("alone_s", "shared_s"))
    processors = np.array([w.processors for w in work])
    weights = 1 / (alone + shared)
    alone_fixed, alone_each = _line(hours, alone, weights)
    shared_fixed, shared_each = _line(hours / processors, shared, weights)
    return Cost(alone_fixed + shared_fixed, alone_each, shared_each)


def seconds_of(cost: Cost, hours: float, processors: int) -> float:
    """Wall time of so much audio on so many processors."""
    return cost.fixed_s + cost.alone_s_per_hour * hours + cost.shared_s_per_hour * hours / processors


def predict(cost: Cost, hours: float, nodes: int, machine: Machine) -> dict[str, float]:
    """Wall time in seconds from asking for the machines to the end, and what they cost until then."""
    seconds = machine.start_s + seconds_of(cost, hours, nodes * machine.processors)
    return {"seconds": seconds, "cost": nodes * machine.price * seconds / 3600}


def _line(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Intercept and slope, neither below zero."""
    slope, intercept = np.polyfit(x, y, 1, w=weights)
    if slope < 0:
        return float(np.average(y, weights=weights**2)), 0.0
    if intercept < 0:
        return 0.0, float((weights**2 * x * y).sum() / (weights**2 * x * x).sum())
    return float(intercept), float(slope)
