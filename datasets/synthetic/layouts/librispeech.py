"""LibriSpeech: `train-clean-100/101/1001/101-1001-0000.flac` (subset, reader, chapter) and the transcript of each chapter, 16 kHz, 16 bit.

Complete: 331 readers of 114 clips each, as in train-clean-100, dev-clean and test-clean: four fifths of the readers lie in the first and
the rest in the other two. A reader says each sentence once; the sentences of test-clean and dev-clean are on other sides of
`rapport.datasets.splits.side_of_sentence` than those of train-clean-100, so that they are never heard there, in whatever voice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rapport.core.audio import encode_flac
from rapport.datasets.splits import SplitConfig, side_of_sentence
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.sentences import sentence
from rapport.datasets.synthetic.speakers import GENDERS
from rapport.datasets.synthetic.studio import Studio

SPEAKERS, MAX_SPEAKERS = 331, 899
CLIPS, MAX_CLIPS = 114, 1140
FIRST_READER, FIRST_CHAPTER = 101, 1001
PER_CHAPTER = 38
_SUBSETS = {"train": "train-clean-100", "validation": "dev-clean", "test": "test-clean"}
_SHARES = SplitConfig().sentence_shares
_MOODS = ("neutral", "happy", "sad", "angry", "surprised")
_LIVELINESS = 1.0  # most of an emotion that a reader puts into a sentence


@dataclass(frozen=True, slots=True)
class Clip:
    """One read sentence."""

    reader: int
    """Counted from 0."""
    number: int
    """Counted from 0 over the chapters of the reader."""
    readers: int
    """How many readers the corpus has."""
    clips: int
    """How many clips each has."""

    @property
    def side(self) -> str:
        """The side of a split to which the reader belongs."""
        # The last tenth tests and the tenth before validates; of fewer than ten readers, all train.
        held_out = self.readers // 10
        from_end = self.readers - 1 - self.reader
        return "test" if from_end < held_out else "validation" if from_end < 2 * held_out else "train"

    @property
    def speaker(self) -> str:
        """The reader's number in names."""
        return str(FIRST_READER + self.reader)

    @property
    def chapter(self) -> str:
        """Reader and chapter, as files are called."""
        chapters = -(-self.clips // PER_CHAPTER)
        return f"{self.speaker}-{FIRST_CHAPTER + self.reader * chapters + self.number // PER_CHAPTER}"

    @property
    def name(self) -> str:
        """The id of the clip."""
        return f"{self.chapter}-{self.number % PER_CHAPTER:04d}"

    @property
    def path(self) -> str:
        """Relative to the corpus."""
        return f"{_SUBSETS[self.side]}/{self.chapter.replace('-', '/')}/{self.name}.flac"


def plan(request: Request) -> list[Clip]:
    """The clips, reader by reader."""
    readers = request.count_speakers(SPEAKERS, MAX_SPEAKERS)
    clips = request.count_utterances(CLIPS, MAX_CLIPS)
    return [Clip(reader, number, readers, clips) for reader in range(readers) for number in range(clips)]


def render(clip: Clip, studio: Studio) -> dict[str, bytes]:
    """The recording; with the first of a chapter its transcript, and with the first of all the table of readers."""
    rng = studio.rng(clip.path)
    text = _text(clip, studio)
    # Whoever reads a book aloud acts it a little: who learns words from readers should know them in lively speech too.
    mood = _MOODS[rng.integers(len(_MOODS))]
    speaker = studio.speaker(clip.speaker, _gender(clip.reader))
    files = {clip.path: encode_flac(studio.take(speaker, text, rng, emotion=mood, strength=rng.uniform(0, _LIVELINESS)))}
    if clip.number % PER_CHAPTER == 0:
        lines = "".join(f"{c.name} {_text(c, studio).upper()}\n" for c in _same_chapter(clip))
        files[f"{clip.path.rpartition('/')[0]}/{clip.chapter}.trans.txt"] = lines.encode()
    if clip.reader == clip.number == 0:
        files["SPEAKERS.TXT"] = _readers(clip).encode()
    return files


def _text(clip: Clip, studio: Studio) -> str:
    return _first_on_side(clip.side, studio.rng("text", clip.name))


def _first_on_side(side: str, rng: np.random.Generator) -> str:
    while True:
        text = sentence(rng)
        if side_of_sentence(text, *_SHARES) == side:
            return text


def _same_chapter(clip: Clip) -> Iterator[Clip]:
    for number in range(clip.number, min(clip.number + PER_CHAPTER, clip.clips)):
        yield Clip(clip.reader, number, clip.readers, clip.clips)


def _gender(reader: int) -> str:
    return GENDERS[reader % len(GENDERS)]


def _readers(clip: Clip) -> str:
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for reader in range(clip.readers):
        other = Clip(reader, 0, clip.readers, clip.clips)
        sex = _gender(reader)[0].upper()
        lines.append(f"{other.speaker:<5}| {sex} | {_SUBSETS[other.side]:<17}| {clip.clips / 20:.2f}  | Reader {other.speaker}")
    return "\n".join(lines) + "\n"
