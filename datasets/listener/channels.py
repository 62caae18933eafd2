"""Which channel of the recording of a dialogue is the woman's and which the man's: decided by ear, because it is told nowhere reliably."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rapport.core.audio import AudioError, decode

Stretches = Sequence[tuple[float, float]]
"""(start_s, end_s) of turns."""

_LEAST_MARGIN_DB = 1.0
_FLOOR = 1e-10


def speaker_channels(path: str, turns: Mapping[str, Stretches]) -> dict[str, int]:
    """F and M to their channels, 0 (left) or 1, of a recording (path or URI) in which they speak in the stretches `turns`.

    The level of left against right is compared between the turns of F and those of M. Empty where it differs by less than 1 dB, where
    either never speaks, and where the recording cannot be read or has other than two channels.
    """
    try:
        samples, rate_hz = decode(path)
    except AudioError:
        return {}
    if len(samples) != 2:
        return {}
    tilt_db = {letter: _left_over_right_db(samples, rate_hz, stretches) for letter, stretches in turns.items()}
    margin_db = tilt_db.get("F", np.nan) - tilt_db.get("M", np.nan)
    if not abs(margin_db) >= _LEAST_MARGIN_DB:
        return {}
    return {"F": 0, "M": 1} if margin_db > 0 else {"F": 1, "M": 0}


def _left_over_right_db(samples: npt.NDArray[np.float32], rate_hz: int, stretches: Stretches) -> float:
    """Level of channel 0 against channel 1 of samples [2, S] within the stretches; NaN where there is nothing."""
    parts = [samples[:, round(start_s * rate_hz) : round(end_s * rate_hz)] for start_s, end_s in stretches]
    energy = sum((np.square(part, dtype=np.float64).sum(1) for part in parts), np.zeros(2))
    if not any(part.shape[1] for part in parts):
        return float("nan")
    left, right = energy + _FLOOR
    return float(10 * np.log10(left / right))
