"""How a speaker says one take: the emotion's prosody by the book, bent by the speaker's habits and by chance.

Chance is wide enough that neighbours overlap (calm and neutral, sad and calm, happy and surprised), as they do for listeners.
"""

from dataclasses import replace

import numpy as np

from rapport.core.speech import Prosody, prosody_of
from rapport.datasets.synthetic.seeds import generator
from rapport.datasets.synthetic.speakers import Speaker

# One standard deviation of a speaker's habit, and again of a take. Ratios (range, tempo, formants) spread on a logarithmic scale.
_SPREAD = Prosody(
    pitch_st=0.85,
    pitch_range=0.1,
    glide_st=0.5,
    tempo=0.045,
    pause_s=0.008,
    level_db=1.6,
    effort_db=0.85,
    formants=0.01,
    breath=0.033,
    tremor=0.08,
    roughness=0.065,
)
_RATIOS = ("pitch_range", "tempo", "formants")
_NOT_NEGATIVE = ("pause_s", "breath", "tremor", "roughness")
_ENDINGS = {"angry": "!", "happy": "!", "excited": "!", "surprised": "?"}


def take(speaker: Speaker, emotion: str, strength: float, rng: np.random.Generator, variation: float = 1.0) -> Prosody:
    """The prosody of one take of an emotion at a strength from 0 (neutral) to 1 (strong); `variation` scales habit and chance."""
    book = prosody_of(emotion, strength * speaker.expressiveness)
    habit = generator(speaker.manner_seed, emotion)
    return _vary(_vary(book, habit, variation), rng, variation)


def punctuate(text: str, emotion: str, rng: np.random.Generator) -> str:
    """The sentence with a final mark, which sets its tune: now and then the emotion's own, else a full stop."""
    return text + (_ENDINGS.get(emotion, ".") if rng.random() < 0.4 else ".")


def _vary(prosody: Prosody, rng: np.random.Generator, variation: float) -> Prosody:
    changed: dict[str, float] = {}
    for name in Prosody.__dataclass_fields__:
        value, step = getattr(prosody, name), variation * getattr(_SPREAD, name) * rng.standard_normal()
        varied = value * float(np.exp(step)) if name in _RATIOS else value + step
        changed[name] = max(0.0, varied) if name in _NOT_NEGATIVE else varied
    return replace(prosody, **changed)
