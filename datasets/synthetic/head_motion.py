"""How a made listener's head moves: a known function of what is heard, so that the right answer of every measurement is known.

Each angle follows one of three signals of the speaker's voice, all 0 in silence (`rapport.core.voice_signals`), through a bell of unit area
that is centred on the angle's lag, so that the lag is exact and nothing of the future is heard:

    roll(t)  = GAINS["roll"]  * bell(speech)(t - 0.6 s)      the head tilts while somebody speaks, and comes back in pauses
    pitch(t) = GAINS["pitch"] * bell(loudness)(t - 0.4 s)    nods at the rate of stressed words
    yaw(t)   = GAINS["yaw"]   * bell(octaves)(t - 0.8 s)     slow turns, one way for high voices and the other for low ones

`listening` is this part and nothing else; it is about three quarters of the variance within a turn. `head_motion` adds what no listener to
the voice can know: the constant pose of the person, slow drift, restlessness, and, while the person speaks, the same moves to the own voice
without lag. Axes: S samples, N rows of motion capture, 3 angles in the order of `rapport.core.pose.ROTATIONS`.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rapport.core.pose import ROTATIONS
from rapport.core.voice_signals import SIGNALS_HZ, heard

Floats = npt.NDArray[np.float64]

MOTION_RATE_HZ = SIGNALS_HZ
"""Rows a second, 120 as in IEMOCAP; row n tells the pose at n / 120 s."""
LAGS_S: Mapping[str, float] = {"roll": 0.6, "pitch": 0.4, "yaw": 0.8}
"""How long after the voice each angle follows it."""
WIDTHS_S: Mapping[str, float] = {"roll": 0.8, "pitch": 0.3, "yaw": 1.2}
"""Length of the bell, which is at most twice the lag."""
GAINS: Mapping[str, float] = {"roll": -7.0, "pitch": 14.0, "yaw": 14.0}
"""Degrees for speech against silence, for full loudness against none, and for an octave above 160 Hz."""
OWN_SPEECH = 1.5
"""Moves to the own voice, as a multiple of those to another's."""
DRIFT_DEG: Mapping[str, float] = {"roll": 1.8, "pitch": 2.0, "yaw": 1.7}
"""Standard deviation of what comes and goes over `DRIFT_WIDTH_S`."""
RESTLESS_DEG: Mapping[str, float] = {"roll": 0.7, "pitch": 1.0, "yaw": 0.6}
"""Standard deviation of what comes and goes over `RESTLESS_WIDTH_S`."""
DRIFT_WIDTH_S, RESTLESS_WIDTH_S = 12.0, 0.5
POSE_SPREAD_DEG = 10.0
"""Standard deviation over persons of each angle of the constant pose."""


def follow(signals: Floats, lags_s: Mapping[str, float] = LAGS_S) -> Floats:
    """Degrees [N, 3] of a head that follows the signals [N, 3] of `heard`, each angle its own; before them there was silence."""
    if not len(signals):
        return np.zeros((0, len(ROTATIONS)))
    angles = [GAINS[a] * _bell(signals[:, i], lags_s[a], WIDTHS_S[a]) for i, a in enumerate(ROTATIONS)]
    return np.column_stack(angles)


def listening(samples: npt.NDArray[np.floating]) -> Floats:
    """Degrees [N, 3] at 120 Hz of a head that listens to the voice [S] at 16 kHz, from rest: all that the voice tells of the motion."""
    return follow(heard(samples))


def head_motion(
    other: npt.NDArray[np.floating], own: npt.NDArray[np.floating], pose_deg: npt.NDArray[np.floating], rng: np.random.Generator
) -> Floats:
    """Degrees [N, 3] at 120 Hz of a person in a conversation, of the voices [S] at 16 kHz of the other and of the person.

    `pose_deg` [3] is the person's pose at rest.
    """
    moves = listening(other) + OWN_SPEECH * follow(heard(own), dict.fromkeys(ROTATIONS, 0.0))
    by_chance = [
        DRIFT_DEG[a] * wandering(len(moves), DRIFT_WIDTH_S, rng) + RESTLESS_DEG[a] * wandering(len(moves), RESTLESS_WIDTH_S, rng)
        for a in ROTATIONS
    ]
    return pose_deg + moves + np.column_stack(by_chance)


def wandering(count: int, width_s: float, rng: np.random.Generator) -> Floats:
    """Smooth chance [count] at 120 Hz, of mean 0 and standard deviation 1, whose values `width_s` apart have nothing in common."""
    bell = _bell_of(width_s)
    return np.convolve(rng.standard_normal(count + len(bell) - 1), bell / np.linalg.norm(bell), "valid")


def _bell(signal: Floats, lag_s: float, width_s: float) -> Floats:
    """The signal [N] through a bell centred `lag_s` later; before the signal, and after it, lies 0."""
    bell = _bell_of(width_s)
    spread = np.convolve(signal, bell / bell.sum())
    start = len(bell) // 2 - round(lag_s * MOTION_RATE_HZ)
    return np.concatenate([np.zeros(max(0, -start)), spread[max(0, start) :]])[: len(signal)]


def _bell_of(width_s: float) -> Floats:
    """A Hann window of an odd number of rows, none of which is 0."""
    half = max(1, round(width_s * MOTION_RATE_HZ / 2))
    return np.hanning(2 * half + 1)[1:-1]
