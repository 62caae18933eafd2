"""Learning rates over time, each a pure function of the step: nothing to save, so nothing to restore."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from rapport.training.config import ScheduleConfig

_LOW_MOMENTUM, _HIGH_MOMENTUM = 0.85, 0.95


@dataclass(frozen=True)
class Rate:
    """What the optimiser uses for one step."""

    factor: float
    """Share of the peak learning rate."""
    momentum: float | None = None
    """First beta; None keeps the configured one."""


def rate_schedule(config: ScheduleConfig, total_steps: int, steps_per_epoch: int) -> Callable[[int], Rate]:
    """The rate of each optimiser step, counted from 0 to `total_steps - 1`."""
    per_unit = steps_per_epoch if config.unit == "epoch" else 1
    if config.name == "onecycle":
        return lambda step: _one_cycle(config, step, total_steps)
    warmup = config.warmup * per_unit
    length = config.length * per_unit if config.length else max(total_steps - warmup, 1.0)
    shapes: dict[str, Callable[[float], float]] = {
        "constant": lambda step: 1.0,
        "linear": lambda step: max(0.0, 1 - step / length),
        "cosine": lambda step: _half_cosine(step / length),
        "cosine_warm_restarts": lambda step: _restarts(step, config.period * per_unit, config.period_factor),
    }
    shape = shapes[config.name]

    def rate(step: int) -> Rate:
        if step < warmup:
            return Rate((step + 1) / (warmup + 1))
        return Rate(config.floor + (1 - config.floor) * shape(step - warmup))

    return rate


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def _restarts(step: float, period: float, factor: float) -> float:
    # The end of period k lies at period * (factor**k - 1) / (factor - 1).
    if factor == 1:
        return _half_cosine(step % period / period)
    done = int(math.log(step / period * (factor - 1) + 1, factor) + 1e-9)
    start = period * (factor**done - 1) / (factor - 1)
    return _half_cosine((step - start) / (period * factor**done))


def _one_cycle(config: ScheduleConfig, step: int, total_steps: int) -> Rate:
    """As torch.optim.lr_scheduler.OneCycleLR with cosine annealing."""
    first, last = 1 / config.start_divisor, 1 / (config.start_divisor * config.end_divisor)
    # With a single step there is no time to rise: it is taken at the peak.
    top = max(config.rise * total_steps - 1, 0.0)
    if step <= top and top > 0:
        height, factor = _half_cosine(step / top), (first, 1.0)
        momentum = (_HIGH_MOMENTUM, _LOW_MOMENTUM)
    else:
        height, factor = _half_cosine((step - top) / max(total_steps - 1 - top, 1.0)), (1.0, last)
        momentum = (_LOW_MOMENTUM, _HIGH_MOMENTUM)

    def between(ends: tuple[float, float]) -> float:
        return ends[1] + (ends[0] - ends[1]) * height

    return Rate(between(factor), between(momentum) if config.cycle_momentum else None)
