"""RAVDESS, its audio-only speech: `Actor_01/03-01-EE-II-SS-RR-01.wav`, names as in `rapport.datasets.corpora.ravdess`.

Complete as published: 24 actors of 60 clips (neutral has no strong). With fewer clips an actor, emotions stay balanced within one.
The published files are 48 kHz; these are 16 kHz, 16 bit, one channel.
"""

from dataclasses import dataclass

from rapport.core.audio import encode_wav
from rapport.datasets.card import read_card
from rapport.datasets.corpora.ravdess import STATEMENTS
from rapport.datasets.synthetic.plan import Request, pick
from rapport.datasets.synthetic.studio import Studio

SPEAKERS, MAX_SPEAKERS = 24, 99
CLIPS = 60
_STRENGTH = {"01": 0.6, "02": 1.0}


@dataclass(frozen=True, slots=True)
class Clip:
    """One take, in the two-digit codes of its file name."""

    emotion: str
    intensity: str
    statement: str
    repetition: str
    actor: str

    @property
    def path(self) -> str:
        """Relative to the corpus."""
        return f"Actor_{self.actor}/03-01-{self.emotion}-{self.intensity}-{self.statement}-{self.repetition}-{self.actor}.wav"


def plan(request: Request) -> list[Clip]:
    """The clips, actor by actor."""
    actors = [f"{number:02d}" for number in range(1, request.count_speakers(SPEAKERS, MAX_SPEAKERS) + 1)]
    per_actor = request.count_utterances(CLIPS, CLIPS)
    return [clip for actor in actors for clip in sorted(pick(_takes(actor), per_actor, request.seed, actor), key=lambda c: c.path)]


def render(clip: Clip, studio: Studio) -> dict[str, bytes]:
    """The file of the clip."""
    speaker = studio.speaker(clip.actor, "male" if int(clip.actor) % 2 else "female")
    emotion = read_card("ravdess").label_map[clip.emotion]
    rng = studio.rng(clip.path)
    return {
        clip.path: encode_wav(studio.take(speaker, STATEMENTS[clip.statement], rng, emotion=emotion, strength=_STRENGTH[clip.intensity]))
    }


def _takes(actor: str) -> list[list[Clip]]:
    """All clips of an actor, one list an emotion."""
    return [
        [
            Clip(code, intensity, statement, repetition, actor)
            for intensity in (("01",) if emotion == "neutral" else ("01", "02"))
            for statement in STATEMENTS
            for repetition in ("01", "02")
        ]
        for code, emotion in read_card("ravdess").label_map.items()
    ]
