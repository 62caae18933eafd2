"""Three signals of a voice that a listener could follow: whether somebody speaks, how loud, and how high; all 0 in silence.

The heads of made conversations move by them, and the lags of all heads are measured to them. Axes: S samples, N rows at `SIGNALS_HZ`.
"""

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ, resample

Floats = npt.NDArray[np.float64]

SIGNALS = ("speech", "loudness", "f0")
"""Whether somebody speaks (0 or 1, lasting over the short silences between words), how loud (0 to 1), and how high (octaves from 160 Hz,
0 without a voice)."""
SIGNALS_HZ = 120
"""Rows a second."""

_MIDDLE_HZ = 160.0
_QUIET_DB, _LOUD_DB = -45.0, -10.0  # level of 25 ms, dB of full scale: loudness 0 and 1
_SPEECH_LOUDNESS = 0.1
_HOLD_S = 0.25  # shorter silences, between words, are no pauses
_LEVEL_WINDOW_S, _PITCH_WINDOW_S = 0.025, 0.05
_PITCH_HZ = (65.0, 500.0)
_PITCH_RATE_HZ, _PITCH_FFT = 8_000, 1_024
_VOICED_FROM = 0.5  # of the normalised autocorrelation
_FRAMES_AT_ONCE = 4_096


def heard(samples: npt.NDArray[np.floating]) -> Floats:
    """`SIGNALS` of a voice [S] at 16 kHz, [N, 3] with N = floor(S * 120 / 16000); row n is measured around n / 120 s."""
    voice = samples.astype(np.float32)
    count = len(voice) * SIGNALS_HZ // SAMPLE_RATE_HZ
    power = np.mean(np.square(_windows(voice, SAMPLE_RATE_HZ, _LEVEL_WINDOW_S, count), dtype=np.float64), axis=1)
    level_db = 10 * np.log10(np.maximum(power, 1e-12))
    loudness = np.clip((level_db - _QUIET_DB) / (_LOUD_DB - _QUIET_DB), 0, 1)
    audible = loudness > _SPEECH_LOUDNESS
    octaves = np.zeros(count)
    slow = resample(voice, SAMPLE_RATE_HZ, _PITCH_RATE_HZ)
    octaves[audible] = _octaves(_windows(slow, _PITCH_RATE_HZ, _PITCH_WINDOW_S, count)[audible])
    return np.column_stack([_held(audible), loudness, octaves])


def _windows(samples: npt.NDArray[np.float32], rate_hz: int, window_s: float, count: int) -> npt.NDArray[np.float32]:
    """[N, window] the stretch around each n / 120 s; beyond the ends lies silence."""
    size = round(window_s * rate_hz)
    padded = np.pad(samples, (size // 2, size))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[np.arange(count) * rate_hz // SIGNALS_HZ]


def _held(audible: npt.NDArray[np.bool_]) -> Floats:
    """1 from a sound until `_HOLD_S` after it."""
    last = np.maximum.accumulate(np.where(audible, np.arange(len(audible)), -(10**9)))
    return (np.arange(len(audible)) - last <= _HOLD_S * SIGNALS_HZ).astype(np.float64)


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
        found.append(np.where(voiced, np.log2(_PITCH_RATE_HZ / lags[best] / _MIDDLE_HZ), 0))
    return np.concatenate(found)


def _autocorrelation(pieces: npt.NDArray[np.floating]) -> Floats:
    return np.fft.irfft(np.square(np.abs(np.fft.rfft(pieces, _PITCH_FFT))))
