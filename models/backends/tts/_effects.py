"""What an engine cannot say by itself: glides, tremor, roughness, breath, vocal effort, loudness, as operations on the waveform."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import uniform_filter1d

from rapport.core.speech import Prosody

NEUTRAL_LEVEL_DB = -30.0
"""Level of the speaking parts of a neutral utterance, dB of full scale: leaves room for the 20 dB of shouting."""
_PEAK = 0.98
_TREMOR_HZ = 6.0
_ROUGHNESS_HZ = 70.0


def apply(samples: np.ndarray, rate_hz: int, prosody: Prosody, rng: np.random.Generator) -> np.ndarray:
    """`samples` [S] with the parts of `prosody` that are made on the waveform: all but tempo, pitch, range, pauses and formants."""
    out = _bend_pitch(samples, rate_hz, prosody.glide_st, prosody.tremor, rng)
    if prosody.roughness > 0:
        out = out * (1 + 0.8 * prosody.roughness * _wobble(len(out), rate_hz, _ROUGHNESS_HZ, rng))
    if prosody.tremor > 0:
        out = out * (1 + 0.6 * prosody.tremor * _wobble(len(out), rate_hz, _TREMOR_HZ, rng))
    if prosody.breath > 0:
        out = _add_breath(out, rate_hz, prosody.breath, rng)
    out = _tilt(out, rate_hz, prosody.effort_db)
    return set_level(out, rate_hz, NEUTRAL_LEVEL_DB + prosody.level_db)


def set_level(samples: np.ndarray, rate_hz: int, level_db: float) -> np.ndarray:
    """float32 [S] whose speaking parts have an RMS of `level_db` of full scale; peaks are bent, never clipped."""
    envelope = _envelope(samples, rate_hz)
    loud = envelope > 0.1 * envelope.max(initial=0)
    rms = float(np.sqrt(np.mean(np.square(samples[loud])))) if loud.any() else 0.0
    scaled = samples * (10 ** (level_db / 20) / rms) if rms > 0 else samples
    knee = 0.7 * _PEAK
    excess = np.maximum(np.abs(scaled) - knee, 0)
    bent = knee + (_PEAK - knee) * np.tanh(excess / (_PEAK - knee))
    return np.where(excess > 0, np.sign(scaled) * bent, scaled).astype(np.float32)


def _bend_pitch(samples: np.ndarray, rate_hz: int, glide_st: float, tremor: float, rng: np.random.Generator) -> np.ndarray:
    """The samples read at a speed that varies: a straight glide of pitch and a tremor, with no change of mean speed."""
    if not len(samples) or (glide_st == 0 and tremor <= 0):
        return samples
    position = np.linspace(-0.5, 0.5, len(samples))
    semitones = glide_st * position + 0.7 * tremor * _wobble(len(samples), rate_hz, _TREMOR_HZ, rng)
    time = np.cumsum(2 ** (semitones / 12))
    time *= (len(samples) - 1) / time[-1]
    # Straight lines between samples dull the highest octave only; speech at 22 kHz has next to nothing there.
    return np.interp(time, np.arange(len(samples)), samples)


def _wobble(count: int, rate_hz: int, centre_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A sine [S] in [-1, 1] of a frequency that wanders by a quarter, as no muscle is a metronome."""
    knots = max(4, int(4 * count / rate_hz) + 2)
    drift = np.interp(np.linspace(0, knots - 1, count), np.arange(knots), rng.normal(0, 0.12, knots))
    return np.sin(2 * np.pi * (rng.random() + np.cumsum(centre_hz * (1 + drift)) / rate_hz))


def _add_breath(samples: np.ndarray, rate_hz: int, amount: float, rng: np.random.Generator) -> np.ndarray:
    """The samples with noise under them that follows their envelope; bright, as air through a narrow gap is."""
    noise = np.diff(rng.standard_normal(len(samples) + 1))
    return samples + 0.35 * amount * noise * _envelope(samples, rate_hz)


def _tilt(samples: np.ndarray, rate_hz: int, effort_db: float) -> np.ndarray:
    """The samples with `effort_db` more energy above 1 kHz than below, in a slope of two octaves."""
    if effort_db == 0 or not len(samples):
        return samples
    size = next_fast_len(len(samples), real=True)
    octaves = np.log2(np.maximum(rfftfreq(size, 1 / rate_hz), 1.0) / 1000)
    gain = 10 ** (effort_db / 20 * np.clip(octaves / 2, -0.5, 0.5))
    return irfft(rfft(samples, size) * gain, size)[: len(samples)]


def _envelope(samples: np.ndarray, rate_hz: int, window_s: float = 0.02) -> np.ndarray:
    """RMS [S] in a window around each sample."""
    power = uniform_filter1d(np.square(samples, dtype=np.float64), max(1, round(window_s * rate_hz)), mode="constant")
    return np.sqrt(np.maximum(power, 0))
