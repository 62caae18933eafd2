"""Voices, prosody and the interfaces of speech engines: what speaks (`Synthesizer`), hears (`Transcriber`), or makes frames
(`FrameEncoder`).

Prosody is told relative to the speaker's own neutral manner, so that one table of emotions serves every voice and every engine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from rapport.core.emotions import check_emotion


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks."""

    name: str
    """The engine's own name of the voice, one of `Synthesizer.voices`."""
    pitch_st: float = 0.0
    """Pitch of the speaker, semitones above the engine's voice."""
    tempo: float = 1.0
    """Words a minute, as a multiple of the engine's normal."""
    formants: float = 1.0
    """Frequencies of the resonances, as a multiple of the engine's voice: above 1 is a shorter vocal tract."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """How something is said, relative to the speaker's neutral manner; the defaults are neutral."""

    pitch_st: float = 0.0
    """Mean pitch, semitones."""
    pitch_range: float = 1.0
    """Span of the intonation in semitones, as a multiple."""
    glide_st: float = 0.0
    """Rise of pitch from the beginning to the end, semitones."""
    tempo: float = 1.0
    """Words a minute, as a multiple."""
    pause_s: float = 0.0
    """Silence put between words, seconds."""
    level_db: float = 0.0
    """Loudness, dB."""
    effort_db: float = 0.0
    """Energy above 1 kHz against that below, dB: pressed, loud voices have more of it."""
    formants: float = 1.0
    """Frequencies of the resonances, as a multiple: a wide open mouth or a smile raises them."""
    breath: float = 0.0
    """Breath noise, 0 (none) to 1 (as loud as the voice)."""
    tremor: float = 0.0
    """Slow shaking (about 6 Hz) of pitch and loudness, 0 to 1."""
    roughness: float = 0.0
    """Fast shaking (about 70 Hz) of loudness, heard as harshness, 0 to 1."""


class Synthesizer(Protocol):
    """An engine that speaks."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """Name and version of the engine, for manifests."""
        ...

    @property
    def voices(self) -> Mapping[str, tuple[str, ...]]:
        """Names of its voices under `female` and `male`."""
        ...

    def speak(self, text: str, voice: Voice, prosody: Prosody | None = None, *, seed: int = 0) -> tuple[np.ndarray, int]:
        """Speech, float32 [S] in [-1, 1], and its sample rate in Hz; the same arguments give the same samples."""
        ...


class Transcriber(Protocol):
    """An engine that hears."""

    def transcribe(self, samples: np.ndarray) -> str:
        """The words of 16 kHz speech, float32 [S]; empty when none are heard."""
        ...


class FrameEncoder(Protocol):
    """An engine that turns speech into frames, from which units and residuals are made. It has no state that a clip could change."""

    @property
    def width(self) -> int:
        """D, the numbers in a frame."""
        ...

    @property
    def hop_s(self) -> float:
        """Seconds from one frame to the next."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """The encoder's identity, such as backend, weights and layer: equal identities give equal frames, wherever the weights lie."""
        ...

    def encode(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Frames, float32 [T, D] with T >= 1, of each clip of 16 kHz speech, float32 [S].

        The frames of a clip do not depend on the clips beside it (within 1e-4), so that any number may be given in any order.
        """
        ...


# Pitch, span, level, effort (alpha ratio), formants (F1) and rate follow what eGeMAPS measures on RAVDESS, strong against neutral takes of
# the same actor (12 actors): anger +11.5 st and +24 dB, fear +12 st at a narrower span, calm -0.4 st and -3 dB, surprise the widest span.
# The rest (tremor of fear, roughness of anger, breath of sadness) follows Juslin & Laukka (2003), doi:10.1037/0033-2909.129.5.770.
EMOTION_PROSODY: Mapping[str, Prosody] = {
    "neutral": Prosody(),
    "calm": Prosody(-0.7, 0.75, -0.4, 0.92, 0.02, -3.0, -2.2, 1.0, 0.10),
    "happy": Prosody(6.5, 1.45, 1.0, 1.08, 0.0, 12.0, 4.5, 1.06),
    "sad": Prosody(0.8, 0.65, -1.6, 0.80, 0.06, -2.5, -2.8, 0.99, 0.22, 0.25),
    "angry": Prosody(7.0, 1.25, -0.6, 1.12, 0.0, 19.0, 8.5, 1.05, 0.0, 0.0, 0.75),
    "fearful": Prosody(8.5, 0.8, 0.8, 1.22, 0.0, 13.0, 5.0, 1.03, 0.18, 0.8),
    "disgust": Prosody(0.8, 1.1, -1.2, 0.84, 0.03, 4.5, 1.5, 0.95, 0.03, 0.0, 0.45),
    "surprised": Prosody(6.5, 1.8, 3.2, 1.0, 0.0, 9.0, 2.8, 1.04, 0.08),
    "bored": Prosody(-1.2, 0.45, -1.0, 0.78, 0.03, -3.0, -2.0, 0.99),
    "excited": Prosody(7.5, 1.6, 1.0, 1.2, 0.0, 14.0, 5.0, 1.06),
    "frustrated": Prosody(3.5, 1.15, -1.0, 0.95, 0.02, 10.0, 5.0, 1.0, 0.05, 0.0, 0.5),
    "peaceful": Prosody(-0.4, 0.8, -0.2, 0.88, 0.04, -3.0, -2.2, 1.01, 0.14),
    "powerful": Prosody(2.5, 1.3, 0.0, 0.96, 0.0, 13.0, 6.0, 0.99, 0.0, 0.0, 0.2),
}


def prosody_of(emotion: str, strength: float = 1.0) -> Prosody:
    """The prosody of an emotion acted at a strength: 0 is neutral, 1 is strong.

    Raises RapportError for an emotion outside the vocabulary.
    """
    return blend(Prosody(), EMOTION_PROSODY[check_emotion(emotion)], strength)


def blend(first: Prosody, second: Prosody, weight: float) -> Prosody:
    """The prosody `weight` of the way from the first to the second."""
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(Prosody)}
    return Prosody(**{name: a + weight * (b - a) for name, (a, b) in pairs.items()})
