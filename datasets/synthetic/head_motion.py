"""How a made listener's head moves: a known function of what is heard, so that the right answer of every measurement is known.

Of the speaker's voice three signals are taken, all 0 in silence: whether somebody speaks (which lasts over the short silences between
words), how loud, and how high. Each angle follows one of them through a bell of unit area that is centred on the angle's lag, so that the
lag is exact and nothing of the future is heard:

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

from rapport.core.audio import SAMPLE_RATE_HZ, resample
from rapport.core.pose import ROTATIONS

Floats = npt.NDArray[np.float64]

MOTION_RATE_HZ = 120
"""Rows a second, as in IEMOCAP; row n tells the pose at n / 120 s."""
LAGS_S: Mapping[str, float] = {"roll": 0.6, "pitch": 0.4, "yaw": 0.8}
"""How long after the voice each angle follows it."""
WIDTHS_S: Mapping[str, float] = {"roll": 0.8, "pitch": 0.3, "yaw": 1.2}
"""Length of the bell, which is at most twice the lag."""
GAINS: Mapping[str, float] = {"roll": -7.0, "pitch": 14.0, "yaw": 14.0}
"""Degrees for speech against silence, for full loudness against none, and for an octave above `MIDDLE_HZ`."""
OWN_SPEECH = 1.5
"""Moves to the own voice, as a multiple of those to another's."""
DRIFT_DEG: Mapping[str, float] = {"roll": 1.8, "pitch": 2.0, "yaw": 1.7}
"""Standard deviation of what comes and goes over `DRIFT_WIDTH_S`."""
RESTLESS_DEG: Mapping[str, float] = {"roll": 0.7, "pitch": 1.0, "yaw": 0.6}
"""Standard deviation of what comes and goes over `RESTLESS_WIDTH_S`."""
DRIFT_WIDTH_S, RESTLESS_WIDTH_S = 12.0, 0.5
POSE_SPREAD_DEG = 10.0
"""Standard deviation over persons of each angle of the constant pose."""

MIDDLE_HZ = 160.0
_QUIET_DB, _LOUD_DB = -45.0, -10.0  # level of 25 ms, dB of full scale: loudness 0 and 1
_SPEECH_LOUDNESS = 0.1
_HOLD_S = 0.25  # shorter silences, between words, are no pauses
_LEVEL_WINDOW_S, _PITCH_WINDOW_S = 0.025, 0.05
_PITCH_HZ = (65.0, 500.0)
_PITCH_RATE_HZ, _PITCH_FFT = 8_000, 1_024
_VOICED_FROM = 0.5  # of the normalised autocorrelation
_FRAMES_AT_ONCE = 4_096


def heard(samples: npt.NDArray[np.floating]) -> Floats:
    """What a head follows of a voice [S] at 16 kHz, [N, 3] with N = floor(S * 120 / 16000).

    Speech (0 or 1), loudness (0 to 1) and octaves above 160 Hz (0 where there is no pitch) stand where `ROTATIONS` has the angles that
    follow them.
    """
    voice = samples.astype(np.float32)
    count = len(voice) * MOTION_RATE_HZ // SAMPLE_RATE_HZ
    power = np.mean(np.square(_windows(voice, SAMPLE_RATE_HZ, _LEVEL_WINDOW_S, count), dtype=np.float64), axis=1)
    level_db = 10 * np.log10(np.maximum(power, 1e-12))
    loudness = np.clip((level_db - _QUIET_DB) / (_LOUD_DB - _QUIET_DB), 0, 1)
    audible = loudness > _SPEECH_LOUDNESS
    octaves = np.zeros(count)
    slow = resample(voice, SAMPLE_RATE_HZ, _PITCH_RATE_HZ)
    octaves[audible] = _octaves(_windows(slow, _PITCH_RATE_HZ, _PITCH_WINDOW_S, count)[audible])
    signals = {"roll": _held(audible), "pitch": loudness, "yaw": octaves}
    return np.column_stack([signals[angle] for angle in ROTATIONS])


def follow(signals: Floats, lags_s: Mapping[str, float] = LAGS_S) -> Floats:
    """Degrees [N, 3] of a head that follows the signals [N, 3] of `heard`; before them there was silence."""
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


def _windows(samples: npt.NDArray[np.float32], rate_hz: int, window_s: float, count: int) -> npt.NDArray[np.float32]:
    """[N, window] the stretch around each n / 120 s; beyond the ends lies silence."""
    size = round(window_s * rate_hz)
    padded = np.pad(samples, (size // 2, size))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[np.arange(count) * rate_hz // MOTION_RATE_HZ]


def _held(audible: npt.NDArray[np.bool_]) -> Floats:
    """1 from a sound until `_HOLD_S` after it."""
    last = np.maximum.accumulate(np.where(audible, np.arange(len(audible)), -(10**9)))
    return (np.arange(len(audible)) - last <= _HOLD_S * MOTION_RATE_HZ).astype(np.float64)


def _octaves(pieces: npt.NDArray[np.float32]) -> Floats:
    """[N] pitch of pieces [N, window] at 8 kHz by the autocorrelation, freed of the window's own (Boersma 1993); 0 where there is none."""
    window = np.hanning(pieces.shape[1] + 2)[1:-1]
    shortest, longest = (int(_PITCH_RATE_HZ / hz) for hz in reversed(_PITCH_HZ))
    lags = np.arange(shortest, longest + 1)
    own = _autocorrelation(window[None])[0]
    found = [np.zeros(0)]
    for first in range(0, len(pieces), _FRAMES_AT_ONCE):
        some = pieces[first : first + _FRAMES_AT_ONCE]
        wave = _autocorrelation((some - some.mean(1, keepdims=True)) * window)
        likeness = wave[:, lags] / np.maximum(wave[:, :1], 1e-12) / (own[lags] / own[0])
        # A period fits twice into twice itself: of two that are as good the shorter is the voice's.
        best = (likeness - 0.02 * np.log2(lags / shortest)).argmax(1)
        voiced = likeness[np.arange(len(some)), best] > _VOICED_FROM
        found.append(np.where(voiced, np.log2(_PITCH_RATE_HZ / lags[best] / MIDDLE_HZ), 0))
    return np.concatenate(found)


def _autocorrelation(pieces: npt.NDArray[np.floating]) -> Floats:
    return np.fft.irfft(np.square(np.abs(np.fft.rfft(pieces, _PITCH_FFT))))


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
