"""Made-up speakers: each has a voice, a manner and a microphone of their own, all drawn from a seed and the speaker's name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rapport.core.speech import Voice
from rapport.datasets.synthetic.seeds import generator

GENDERS = ("female", "male")


@dataclass(frozen=True, slots=True)
class Microphone:
    """What lies between the speaker and the file."""

    gain_db: float
    tilt_db: float
    """Treble against bass."""
    noise_db: float
    """Level of the room, dB of full scale."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker of a corpus."""

    name: str
    """Unique in its corpus."""
    gender: str
    voice: Voice
    expressiveness: float
    """How strongly emotions are acted: 1 is by the book."""
    manner_seed: int
    """Seed of the habits in which this speaker departs from the book, emotion by emotion."""
    microphone: Microphone


def cast(name: str, gender: str, voices: Mapping[str, tuple[str, ...]], seed: int, variation: float = 1.0) -> Speaker:
    """The speaker of that name: the same for the same arguments, whoever else is in the corpus.

    `voices` are a synthesiser's names of voices by gender; `variation` scales how far speakers lie apart (0: only voices differ).
    """
    rng = generator(seed, "speaker", name)
    spread = rng.normal(0, variation, 8)
    voice = Voice(
        name=str(rng.choice(voices[gender])),
        pitch_st=float(np.clip(2.0 * spread[0], -4, 4)),
        tempo=float(np.exp(np.clip(0.09 * spread[1], -0.2, 0.2))),
        formants=float(np.exp(np.clip(0.045 * spread[2], -0.1, 0.1))),
    )
    microphone = Microphone(gain_db=2.5 * spread[3], tilt_db=1.5 * spread[4], noise_db=-64 + 4 * spread[5])
    expressiveness = float(np.exp(np.clip(0.18 * spread[6], -0.5, 0.4)))
    return Speaker(name, gender, voice, expressiveness, int(rng.integers(2**31)), microphone)
