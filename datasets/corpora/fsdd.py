"""Free Spoken Digit Dataset: six speakers say the ten English digits fifty times each (3,000 files, 8 kHz).

Source: https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0, Jackson et al. 2018.
Layout: `recordings/7_jackson_32.wav` (digit, speaker, number of the recording from 0), read at any depth. The text of a row is the digit's
word. The published split tests on the first five recordings of every digit and speaker: `split.method published`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.scan import Reject, Scan, audio_files, scan_files, stem, write_tones

WANTED = "FSDD names such as recordings/7_jackson_32.wav (digit, speaker, number), at any depth"
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)", re.IGNORECASE)
_TESTED = 5


class Options(Config):
    """FSDD has nothing to choose."""


def scan(root: str, options: Options) -> Scan:
    """The rows of FSDD below `root`, from file names alone.

    Raises RapportError when none is found.
    """
    return scan_files(root, audio_files(root, (".wav",)), _parse, wanted=WANTED)


def published(row: Utterance) -> str | None:
    """The side of a row: the first five recordings of a digit by a speaker test, the others train; None for other names."""
    match = _NAME.fullmatch(stem(row.audio_path))
    return None if match is None else "test" if int(match[3]) < _TESTED else "train"


PARTITIONS: Mapping[str, Callable[[Utterance], str | None]] = {"published": published}


def write_example(folder: Path) -> None:
    """Three short clips by two speakers in the true layout."""
    write_tones(folder, ("recordings/0_jackson_0.wav", "recordings/7_jackson_32.wav", "recordings/7_nicolas_5.wav"), sample_rate_hz=8_000)


def _parse(path: str) -> Utterance:
    name = stem(path)
    match = _NAME.fullmatch(name)
    if match is None:
        raise Reject("name", f"{path}: wanted digit, speaker and number, such as 7_jackson_32")
    digit, speaker, _ = match.groups()
    return Utterance(
        utterance_id=f"fsdd/{name}",
        corpus="fsdd",
        audio_path=path,
        speaker_id=f"fsdd/{speaker.lower()}",
        language="en",
        text=WORDS[int(digit)],
    )
