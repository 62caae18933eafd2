"""MUSAN: `noise/free-sound/noise-free-sound-0000.wav`, `music/fma/...`, `speech/librivox/...`, nested as published, 16 kHz.

Noise is a fan, mains hum, clicks, an engine or the babble of a crowd; music is tones over chords; speech is a speaker reading.
`utterances` is the number of files in all, shared out as published (930 noises, 660 pieces of music, 426 recordings of speech);
`speakers` is how many people read and babble.
"""

from dataclasses import dataclass

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav
from rapport.core.errors import RapportError
from rapport.datasets.synthetic import sounds
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.sentences import sentence
from rapport.datasets.synthetic.speakers import GENDERS, Speaker
from rapport.datasets.synthetic.studio import Studio

PUBLISHED = {"noise": 930, "music": 660, "speech": 426}
FILES = sum(PUBLISHED.values())
SPEAKERS, MAX_SPEAKERS = 60, 999
_FOLDERS = {"noise": ("free-sound", "sound-bible"), "music": ("fma", "jamendo"), "speech": ("librivox", "us-gov")}
_NOISES = (*sounds.NOISES, "babble")
_BABBLERS = 5
_DURATION_S = {"noise": (4.0, 10.0), "music": (6.0, 12.0), "speech": (8.0, 16.0)}
_LEVEL_DB = (-30.0, -18.0)


@dataclass(frozen=True, slots=True)
class Sound:
    """One file: the `number`-th of its category."""

    category: str
    number: int
    speakers: int
    """How many speakers the corpus has."""

    @property
    def path(self) -> str:
        """Relative to the corpus."""
        turn, which = divmod(self.number, 2)
        folder = _FOLDERS[self.category][which]
        return f"{self.category}/{folder}/{self.category}-{folder}-{turn:04d}.wav"


def plan(request: Request) -> list[Sound]:
    """The files, category by category, at least one of each."""
    files = request.count_utterances(FILES, FILES)
    speakers = request.count_speakers(SPEAKERS, MAX_SPEAKERS)
    if files < len(PUBLISHED):
        raise RapportError(f"--utterances {files}: this layout wants at least {len(PUBLISHED)}, one each of {', '.join(PUBLISHED)}")
    counts = {category: max(1, round(files * PUBLISHED[category] / FILES)) for category in ("noise", "speech")}
    counts["music"] = files - sum(counts.values())
    return [Sound(category, number, speakers) for category, count in counts.items() for number in range(count)]


def render(sound: Sound, studio: Studio) -> dict[str, bytes]:
    """The file of the sound."""
    rng = studio.rng(sound.path)
    count = round(rng.uniform(*_DURATION_S[sound.category]) * SAMPLE_RATE_HZ)
    if sound.category == "speech":
        samples = _reading(_speaker(studio, sound.number % sound.speakers), count, studio, rng)
    elif sound.category == "music":
        samples = sounds.music(count, rng)
    else:
        kind = _NOISES[sound.number % len(_NOISES)]
        samples = _babble(sound, count, studio, rng) if kind == "babble" else sounds.NOISES[kind](count, rng)
    return {sound.path: encode_wav(_at_level(samples, rng.uniform(*_LEVEL_DB)))}


def _speaker(studio: Studio, number: int) -> Speaker:
    return studio.speaker(f"reader{number:03d}", GENDERS[number % len(GENDERS)])


def _reading(speaker: Speaker, count: int, studio: Studio, rng: np.random.Generator) -> np.ndarray:
    """Sentence after sentence in a neutral voice, [count]."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < count:
        parts.append(studio.take(speaker, sentence(rng), rng))
    return np.concatenate(parts)[:count]


def _babble(sound: Sound, count: int, studio: Studio, rng: np.random.Generator) -> np.ndarray:
    """Several readers at once, [count]."""
    voices = rng.choice(sound.speakers, size=min(_BABBLERS, sound.speakers), replace=False)
    return np.sum([_reading(_speaker(studio, int(v)), count, studio, rng) for v in voices], axis=0)


def _at_level(samples: np.ndarray, level_db: float) -> np.ndarray:
    """The samples at an RMS level in dB of full scale, or at full peak where that is less."""
    rms = np.sqrt(np.mean(np.square(samples)))
    return samples * min(10 ** (level_db / 20) / rms, 0.98 / np.abs(samples).max())
