"""CREMA-D: `AudioWAV/1001_IEO_ANG_HI.wav` (actor, sentence, emotion, level), names as in `rapport.datasets.corpora.cremad`.

Complete: 91 actors of 82 clips, twelve sentences in six emotions at level XX, but the first sentence at LO, MD and HI in the five emotions
that have levels. (The published corpus lacks 20 of these 7,462.) 16 kHz, 16 bit, one channel, as published.
"""

from dataclasses import dataclass

from rapport.core.audio import encode_wav
from rapport.datasets.card import read_card
from rapport.datasets.corpora.cremad import GENDERS, SENTENCES
from rapport.datasets.synthetic.plan import Request, pick
from rapport.datasets.synthetic.studio import Studio

FIRST_ACTOR = 1001
SPEAKERS = len(GENDERS)
CLIPS = 82
_STRENGTH = {"LO": 0.4, "MD": 0.7, "HI": 1.0, "XX": 0.75}


@dataclass(frozen=True, slots=True)
class Clip:
    """One take, in the codes of its file name."""

    actor: int
    sentence: str
    emotion: str
    level: str

    @property
    def path(self) -> str:
        """Relative to the corpus."""
        return f"AudioWAV/{self.actor}_{self.sentence}_{self.emotion}_{self.level}.wav"


def plan(request: Request) -> list[Clip]:
    """The clips, actor by actor."""
    actors = range(FIRST_ACTOR, FIRST_ACTOR + request.count_speakers(SPEAKERS, SPEAKERS))
    per_actor = request.count_utterances(CLIPS, CLIPS)
    return [clip for actor in actors for clip in sorted(pick(_takes(actor), per_actor, request.seed, str(actor)), key=lambda c: c.path)]


def render(clip: Clip, studio: Studio) -> dict[str, bytes]:
    """The file of the clip."""
    speaker = studio.speaker(str(clip.actor), {"F": "female", "M": "male"}[GENDERS[clip.actor - FIRST_ACTOR]])
    emotion = read_card("cremad").label_map[clip.emotion]
    rng = studio.rng(clip.path)
    return {clip.path: encode_wav(studio.take(speaker, SENTENCES[clip.sentence], rng, emotion=emotion, strength=_STRENGTH[clip.level]))}


def _takes(actor: int) -> list[list[Clip]]:
    """All clips of an actor, one list an emotion."""
    return [
        [
            Clip(actor, sentence, code, level)
            for sentence in SENTENCES
            for level in (("LO", "MD", "HI") if sentence == "IEO" and emotion != "neutral" else ("XX",))
        ]
        for code, emotion in read_card("cremad").label_map.items()
    ]
