"""From a voice to a recording: microphone, room noise, silence around the words."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from rapport.core.audio import SAMPLE_RATE_HZ, resample
from rapport.datasets.synthetic.speakers import Microphone

_PEAK = 0.98


def record(
    samples: np.ndarray, rate_hz: int, microphone: Microphone, rng: np.random.Generator, silence_s: tuple[float, float] = (0.15, 0.5)
) -> np.ndarray:
    """float32 [S] at 16 kHz: the samples through the microphone, between two silences whose lengths lie in `silence_s`."""
    speech = resample(samples.astype(np.float32), rate_hz, SAMPLE_RATE_HZ)
    before, after = (round(s * SAMPLE_RATE_HZ) for s in rng.uniform(*silence_s, 2))
    padded = np.concatenate([np.zeros(before, np.float32), speech, np.zeros(after, np.float32)])
    padded = shape(padded, microphone.tilt_db) * 10 ** (microphone.gain_db / 20)
    peak = np.abs(padded).max(initial=0)
    if peak > _PEAK:
        padded *= _PEAK / peak
    return (padded + coloured_noise(len(padded), rng) * 10 ** (microphone.noise_db / 20)).astype(np.float32)


def coloured_noise(count: int, rng: np.random.Generator, slope_db: float = -4.0) -> np.ndarray:
    """Noise [S] of RMS 1 whose level falls by `-slope_db` an octave above 60 Hz: 0 white, -3 pink, -6 brown."""
    noise = shape(rng.standard_normal(count), slope_db, per_octave=True)
    rms = np.sqrt(np.mean(np.square(noise))) if count else 1.0
    return noise / rms


def shape(samples: np.ndarray, tilt_db: float, *, per_octave: bool = False) -> np.ndarray:
    """The 16 kHz samples [S] with treble raised: by `tilt_db` from 300 Hz to 3 kHz, or by that in each octave above 60 Hz."""
    if not len(samples) or tilt_db == 0:
        return samples
    size = next_fast_len(len(samples), real=True)
    octaves = np.log2(np.maximum(rfftfreq(size, 1 / SAMPLE_RATE_HZ), 60) / 60)
    position = octaves if per_octave else np.clip((octaves - np.log2(5)) / np.log2(10) - 0.5, -0.5, 0.5)
    return irfft(rfft(samples, size) * 10 ** (tilt_db * position / 20), size)[: len(samples)]
