"""Sounds that are no speech, at 16 kHz: machines, clicks and simple music. Level is left to the caller."""

from collections.abc import Callable, Mapping

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.datasets.synthetic.recording import coloured_noise

_MAJOR, _MINOR = (0, 4, 7), (0, 3, 7)
# Steps of four chords from the key note, with their kinds: four common progressions.
_PROGRESSIONS = (
    ((0, _MAJOR), (5, _MAJOR), (7, _MAJOR), (0, _MAJOR)),
    ((0, _MAJOR), (9, _MINOR), (5, _MAJOR), (7, _MAJOR)),
    ((0, _MINOR), (8, _MAJOR), (3, _MAJOR), (10, _MAJOR)),
    ((9, _MINOR), (5, _MAJOR), (0, _MAJOR), (7, _MAJOR)),
)


def fan(count: int, rng: np.random.Generator) -> np.ndarray:
    """Steady coloured noise, from white to brown, that swells slowly, [count]."""
    swell = 1 + 0.3 * np.sin(2 * np.pi * (rng.random() + rng.uniform(0.05, 0.4) * _time_s(count)))
    return coloured_noise(count, rng, slope_db=rng.uniform(-6, 0)) * swell


def hum(count: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum of 50 or 60 Hz with its harmonics over a little noise, [count]."""
    return _harmonics(count, float(rng.choice([50, 60])), 1.0, 12, rng) + 0.1 * coloured_noise(count, rng)


def engine(count: int, rng: np.random.Generator) -> np.ndarray:
    """A rumble whose speed wanders, with many harmonics, [count]."""
    knots = np.exp(rng.normal(0, 0.15, max(3, count // SAMPLE_RATE_HZ + 2)))
    speed_hz = rng.uniform(25, 70) * np.interp(np.linspace(0, len(knots) - 1, count), np.arange(len(knots)), knots)
    turns = np.cumsum(speed_hz) / SAMPLE_RATE_HZ
    tones = sum(np.sin(2 * np.pi * (k * turns + rng.random())) / k**0.7 for k in range(1, 20))
    return np.asarray(tones) + coloured_noise(count, rng, slope_db=-5)


def clicks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Keys, taps and drips: short decaying bursts at random moments over a faint room, [count]."""
    out = 0.02 * coloured_noise(count, rng)
    for start in rng.integers(0, count, max(3, int(count / SAMPLE_RATE_HZ * rng.uniform(2, 8)))):
        length = min(count - start, round(rng.uniform(0.01, 0.08) * SAMPLE_RATE_HZ))
        decay = np.exp(-6 * np.arange(length) / length)
        ring = np.sin(2 * np.pi * rng.uniform(300, 5000) * _time_s(length))
        out[start : start + length] += rng.uniform(0.3, 1) * decay * (rng.normal(0, 0.5, length) + ring)
    return out


NOISES: Mapping[str, Callable[[int, np.random.Generator], np.ndarray]] = {"fan": fan, "hum": hum, "engine": engine, "clicks": clicks}


def music(count: int, rng: np.random.Generator) -> np.ndarray:
    """A melody over chords in a random key, tempo and timbre, [count]."""
    beat = round(60 / rng.uniform(70, 150) * SAMPLE_RATE_HZ)
    key, brightness = int(rng.integers(45, 57)), rng.uniform(1.0, 2.2)
    progression = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    out = np.zeros(count + 4 * beat)
    for number, start in enumerate(range(0, count, 4 * beat)):
        root, kind = progression[number % len(progression)]
        for step in kind:
            out[start : start + 4 * beat] += 0.4 * _note(key + root + step, 4 * beat, brightness, rng)
        for quarter in range(4):
            note = key + 12 + root + kind[rng.integers(len(kind))]
            out[start + quarter * beat : start + (quarter + 1) * beat] += _note(note, beat, brightness, rng)
    return out[:count]


def _note(midi: float, length: int, brightness: float, rng: np.random.Generator) -> np.ndarray:
    """One plucked note by MIDI number, [length]."""
    envelope = np.exp(-3 * np.arange(length) / length) * np.minimum(1, np.arange(length) / 200)
    return envelope * _harmonics(length, 440 * 2 ** ((midi - 69) / 12), brightness, 6, rng)


def _harmonics(count: int, base_hz: float, roll_off: float, harmonics: int, rng: np.random.Generator) -> np.ndarray:
    """A tone with harmonics that fall with the power `roll_off` of their number, [count]."""
    time_s = _time_s(count)
    tones = (np.sin(2 * np.pi * (k * base_hz * time_s + rng.random())) / k**roll_off for k in range(1, harmonics + 1))
    return np.sum(list(tones), axis=0)


def _time_s(count: int) -> np.ndarray:
    return np.arange(count) / SAMPLE_RATE_HZ
