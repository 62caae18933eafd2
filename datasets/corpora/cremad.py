"""CREMA-D: 91 actors say twelve sentences in six emotions (7,442 files, 16 kHz).

Source: https://github.com/CheyneyComputerScience/CREMA-D (audio in git LFS: fetch it with `git lfs pull`), ODbL 1.0, Cao et al. 2014.
Layout: `AudioWAV/1001_DFA_ANG_XX.wav`, read at any depth. The name holds four fields joined by underscores:

    actor       1001 to 1091 (48 male, 43 female)
    sentence    one of twelve codes, below
    emotion     NEU neutral, HAP happy, SAD sad, ANG angry, FEA fearful, DIS disgust
    level       LO low, MD medium, HI high, XX unspecified; one published file has X

`1076_MTI_SAD_XX` is digital silence in the published corpus; the preparing job finds that when it decodes.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.card import read_card
from rapport.datasets.scan import Reject, Scan, audio_files, scan_files, stem, write_tones

WANTED = "CREMA-D names such as AudioWAV/1001_DFA_ANG_XX.wav (actor, sentence, emotion, level), at any depth"
# The 19 actors that GroupShuffleSplit(test_size=0.2, random_state=42) holds out of 91.
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "published": {
        "validation": tuple(
            f"cremad/{1000 + actor}" for actor in (1, 5, 11, 13, 19, 23, 27, 29, 36, 40, 41, 45, 50, 56, 63, 67, 71, 86, 89)
        )
    }
}

_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})", re.IGNORECASE)
_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
# Actors 1001 to 1091 in order, from VideoDemographics.csv of the corpus.
GENDERS = "MFFFMFFFFFMFFMMMMFMFFMMFFMMFFFMMMMMMFMMMMMFMMFFMFMMFFFFFMFMFFMFMMMMMMMMFFFFFMFFMMFMFMMMMFMF"


class Options(Config):
    """Which copy of the sound to read."""

    suffix: str = ".wav"
    """Suffix of the files: .wav, or .mp3 for the AudioMP3 folder."""


def scan(root: str, options: Options) -> Scan:
    """The rows of CREMA-D below `root`, from file names alone.

    Raises RapportError when none is found.
    """
    return scan_files(root, audio_files(root, (options.suffix.lower(),)), _parse, wanted=WANTED)


def write_example(folder: Path) -> None:
    """Three short clips by two actors in the true layout."""
    write_tones(folder, ("AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1001_IEO_HAP_LO.wav", "AudioWAV/1002_DFA_NEU_XX.wav"))


def _parse(path: str) -> Utterance:
    name = stem(path)
    match = _NAME.fullmatch(name)
    if match is None:
        raise Reject("name", f"{path}: wanted actor_sentence_emotion_level, such as 1001_DFA_ANG_XX")
    actor, sentence, emotion, level = (field.upper() for field in match.groups())
    labels = read_card("cremad").label_map
    known: tuple[tuple[str, str, Mapping[str, str]], ...] = (
        ("sentence", sentence, SENTENCES),
        ("emotion", emotion, labels),
        ("level", level, _LEVELS),
    )
    for field, value, codes in known:
        if value not in codes:
            raise Reject("unknown_code", f"{path}: {field} {value!r} is not one of {', '.join(codes)}")
    return Utterance(
        utterance_id=f"cremad/{name}",
        corpus="cremad",
        audio_path=path,
        speaker_id=f"cremad/{actor}",
        gender=_gender(int(actor)),
        language="en-US",
        text=SENTENCES[sentence],
        emotion=labels[emotion],
        emotion_raw=emotion,
        intensity=_LEVELS[level],
    )


def _gender(actor: int) -> str | None:
    if not 1001 <= actor <= 1091:
        return None
    return {"F": "female", "M": "male"}[GENDERS[actor - 1001]]
