"""An agent's action checked before it is heard: wrong types refused, silence known for what it is, clipping counted."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.transition import Action

FULL_SCALE = 1.0


class ActionError(RapportError, ValueError):
    """An action that is not speech."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """An action fit to be heard."""

    action: Action
    """As the task's functions are told of it: the whole waveform, or words."""
    heard: np.ndarray | None
    """What reaches the ears, float32 [S] within full scale; None for words."""
    silent: bool
    clipped: int
    """Samples at or beyond full scale."""


def check_action(action: Any, silence_peak: float) -> Utterance:
    """The utterance of an action: a waveform of floats, any length from 1 sample, or a text.

    Samples beyond full scale are cut to it for the ears, as a microphone would. Raises ActionError for anything else.
    """
    if isinstance(action, str):
        return Utterance(action, None, not action.strip(), 0)
    if not isinstance(action, np.ndarray):
        raise ActionError(f"action is {type(action).__name__}: wanted a 1-D float32 array of samples, or a str that is heard as it is")
    if action.ndim != 1 or not action.size:
        raise ActionError(f"action has shape {action.shape}: wanted samples [S] with S >= 1; give a channel of its own each step")
    if not np.issubdtype(action.dtype, np.floating):
        raise ActionError(f"action is {action.dtype}: wanted float32 samples within ±1; divide whole numbers by their full scale")
    samples = action.astype(np.float32, copy=False)
    high, low = float(samples.max()), float(samples.min())
    peak = max(high, -low)
    if not (isfinite(high) and isfinite(low)):
        bad = int((~np.isfinite(samples)).sum())
        raise ActionError(f"action has {bad} of {samples.size} samples that are NaN or infinite: wanted finite ones")
    if peak < FULL_SCALE:
        return Utterance(samples, samples, peak <= silence_peak, 0)
    clipped = int((np.abs(samples) >= FULL_SCALE).sum())
    return Utterance(samples, np.clip(samples, -FULL_SCALE, FULL_SCALE), False, clipped)
