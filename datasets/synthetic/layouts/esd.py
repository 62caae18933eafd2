"""ESD: `0011/Angry/0011_000351.wav`, the table `0011/0011.txt`, and dialogues on its sentences in `EmoSC_dialogues.jsonl`.

Complete as published in English: speakers 0011 to 0020 say 350 texts each in five emotions. With fewer clips, a speaker is dealt half as
many of these texts as there are clips and says each in two emotions, so that sentences stay many and each is heard in different ways;
emotions stay balanced within a speaker. Further tens of speakers, from 0021 on, say texts of their own. 16 kHz, 16 bit, one channel, as
published.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np

from rapport.core.audio import encode_wav
from rapport.datasets.card import read_card
from rapport.datasets.corpora.esd import FIRST_ENGLISH, NUMBERED, TEXTS, file_id, gender_of
from rapport.datasets.dialogues import emosc
from rapport.datasets.synthetic.dialogues import make_dialogues
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.seeds import generator
from rapport.datasets.synthetic.sentences import sentences
from rapport.datasets.synthetic.speakers import GENDERS
from rapport.datasets.synthetic.studio import Studio

SPEAKERS, MAX_SPEAKERS = 10, 980
CLIPS = TEXTS * len(NUMBERED)
_COHORT = 10


@dataclass(frozen=True, slots=True)
class Clip:
    """One take."""

    speaker: str
    """Four digits, from 0011."""
    emotion: str
    """As folders are called."""
    text: int
    """Number of the text, from 1 to 350."""
    request: Request
    """What the corpus is to be, which decides what the tables beside the recordings hold."""

    @property
    def path(self) -> str:
        """Relative to the corpus."""
        return f"{self.speaker}/{self.emotion}/{file_id(self.speaker, self.emotion, self.text)}.wav"


def plan(request: Request) -> list[Clip]:
    """The clips, speaker by speaker."""
    return [clip for speaker in _speakers(request) for clip in _clips(request, speaker)]


def render(clip: Clip, studio: Studio) -> dict[str, bytes]:
    """The recording; with the first of a speaker the speaker's table, and with the first of all the dialogues."""
    speaker = studio.speaker(clip.speaker, _gender(clip.speaker))
    emotion = read_card("esd").label_map[clip.emotion]
    files = {clip.path: encode_wav(studio.take(speaker, text_of(clip), studio.rng(clip.path), emotion=emotion))}
    if clip == _clips(clip.request, clip.speaker)[0]:
        files[f"{clip.speaker}/{clip.speaker}.txt"] = _table(clip.request, clip.speaker).encode()
        if clip.speaker == _speakers(clip.request)[0]:
            files[emosc.FILE] = _dialogues(clip.request).encode()
    return files


def _speakers(request: Request) -> list[str]:
    return [f"{FIRST_ENGLISH + i:04d}" for i in range(request.count_speakers(SPEAKERS, MAX_SPEAKERS))]


@cache
def _clips(request: Request, speaker: str) -> tuple[Clip, ...]:
    """The clips of a speaker by path: every text in one emotion or another, then every text in the next, until there are enough."""
    wanted = request.count_utterances(CLIPS, CLIPS)
    texts = min(TEXTS, -(-wanted // 2))
    # The speakers of a cohort are dealt different texts as long as there are enough.
    cohort, place_in_cohort = divmod(int(speaker) - FIRST_ENGLISH, _COHORT)
    dealt = generator(request.seed, "esd", str(cohort)).permutation(TEXTS)
    order = np.roll(dealt, -texts * place_in_cohort)[:texts]
    takes = [
        # The step to the next emotion differs from text to text, so that all pairs of emotions meet on the same words.
        Clip(speaker, NUMBERED[(place + turn * (1 + place // len(NUMBERED) % 4)) % len(NUMBERED)], int(text) + 1, request)
        for turn in range(len(NUMBERED))
        for place, text in enumerate(order)
    ]
    return tuple(sorted(takes[:wanted], key=lambda clip: clip.path))


@cache
def _sentences(seed: int, cohort: int) -> list[str]:
    # All cohorts take from one list, so that no two share a sentence and any of them can be held out.
    return sentences(TEXTS * (cohort + 1), generator(seed, "esd sentences"))[-TEXTS:]


def text_of(clip: Clip) -> str:
    """What is said in a clip, without its final stop."""
    return _sentences(clip.request.seed, (int(clip.speaker) - FIRST_ENGLISH) // _COHORT)[clip.text - 1]


def _gender(speaker: str) -> str:
    return gender_of(speaker) or GENDERS[int(speaker) % len(GENDERS)]


def _table(request: Request, speaker: str) -> str:
    lines = sorted((file_id(speaker, clip.emotion, clip.text), text_of(clip), clip.emotion) for clip in _clips(request, speaker))
    return "".join(f"{name}\t{text}.\t{emotion}\n" for name, text, emotion in lines)


def _dialogues(request: Request) -> str:
    labels = read_card("esd").label_map
    spoken: dict[str, set[str]] = defaultdict(set)
    for clip in plan(request):
        spoken[text_of(clip)].add(labels[clip.emotion])
    return emosc.to_jsonl(make_dialogues({text: sorted(emotions) for text, emotions in spoken.items()}, request.seed))
