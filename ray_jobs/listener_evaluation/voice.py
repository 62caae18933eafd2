"""What a listener could follow of a voice, on the clock of the motion: the signals that lags and latencies are measured to."""

import numpy as np
import numpy.typing as npt

from rapport.core.voice_signals import SIGNALS, SIGNALS_HZ, heard

PLANTED = {"roll": "speech", "pitch": "loudness", "yaw": "f0"}
"""Which signal each angle follows in made conversations (`rapport.datasets.synthetic.head_motion`)."""


def voice_signals(samples: npt.NDArray[np.float32], frames: int, rate_hz: int) -> dict[str, npt.NDArray[np.float64]]:
    """`SIGNALS` [T] of a voice [S] at 16 kHz, each measured around the time of its frame, (k + 1) / `rate_hz` seconds.

    The front end's own columns would not do: their windows end at the frame, which looks like a lag of half a window.
    """
    rows = heard(samples)
    if not len(rows):
        return {name: np.zeros(frames) for name in SIGNALS}
    at = np.minimum((np.arange(frames) + 1) * SIGNALS_HZ // rate_hz, len(rows) - 1)
    return {name: rows[at, column] for column, name in enumerate(SIGNALS)}
