"""Pitch and voicing of single spectra, by autocorrelation freed of the window's own (Boersma 1993).

Every row is computed by itself, as `rapport.models.listener.front_end` asks. Plain numpy. Axes: n rows, F bins.
"""

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ

Floats = npt.NDArray[np.float32]

# Pitch is sought where it lies: the spectrum fades out here, and the autocorrelation is taken at half the rate, at half the work.
_FADE_HZ = (1_000.0, 1_800.0)
_LOWEST_BIN_HZ = 50.0
_RATE_HZ = SAMPLE_RATE_HZ // 2
_PITCH_HZ = (65.0, 500.0)
_MIDDLE_HZ = 160.0
_VOICED_FROM = 0.45  # of the normalised autocorrelation, where voices begin
_FLOOR = 1e-8  # power: a voice far below the noise of 16 bits is none


class VoiceFinder:
    """Pitch and voicing from the power spectra of one window."""

    def __init__(self, window: Floats) -> None:
        """`window` [2 F] is the shape that the samples were multiplied by, at 16 kHz."""
        self._size = len(window) // 2
        bins_hz = np.arange(self._size // 2 + 1) * SAMPLE_RATE_HZ / len(window)
        fade = ((_FADE_HZ[1] - bins_hz) / (_FADE_HZ[1] - _FADE_HZ[0])).clip(0, 1)
        self._weights = (np.sin(np.pi / 2 * fade) ** 2 * (bins_hz >= _LOWEST_BIN_HZ)).astype(np.float32)
        lags = np.arange(int(_RATE_HZ / _PITCH_HZ[1]), int(_RATE_HZ / _PITCH_HZ[0]) + 2)
        self._first, self._last = int(lags[0]), int(lags[-1]) + 1
        exact = window.astype(np.float64)
        step = SAMPLE_RATE_HZ // _RATE_HZ
        own = np.array([exact[: len(exact) - step * lag] @ exact[step * lag :] for lag in lags]) / (exact @ exact)
        self._gain = (1 / own).astype(np.float32)
        # A period fits twice into twice itself: the shorter of two equal candidates is the voice.
        self._cost = (0.02 * np.log2(lags / lags[0])).astype(np.float32)
        # The inverse transform divides by its size, and every bin but the first counts twice.
        self._floor = np.float32(_FLOOR * 2 / self._size)

    def find(self, power: Floats) -> tuple[Floats, Floats]:
        """Pitch [n], octaves from 160 Hz and 0 without a voice, and voicing [n], 0 to 1, of power spectra [n, F]."""
        correlation = np.fft.irfft(power[:, : self._size // 2 + 1] * self._weights, self._size).astype(np.float32)
        energy = correlation[:, :1] + self._floor
        wave = correlation[:, self._first : self._last] / energy * self._gain  # [n, lags]
        best = (wave - self._cost)[:, 1:-1].argmax(1) + 1
        rows = np.arange(len(power))
        left, peak, right = wave[rows, best - 1], wave[rows, best], wave[rows, best + 1]
        bend = np.minimum(left - 2 * peak + right, np.float32(-1e-6))
        shift = np.float32(0.5) * (left - right) / bend  # to the top of the parabola through the three
        shift = np.minimum(np.maximum(shift, np.float32(-0.5)), np.float32(0.5))
        octaves = np.log2(np.float32(_RATE_HZ / _MIDDLE_HZ) / (best.astype(np.float32) + self._first + shift))
        voicing = np.minimum(np.maximum(peak, np.float32(0)), np.float32(1))
        return np.where(voicing > _VOICED_FROM, octaves, np.float32(0)), voicing
