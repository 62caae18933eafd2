"""RAVDESS: 24 actors say two sentences in eight emotions (1,440 speech files, 48 kHz, one of the 24 sung apart).

Source: https://zenodo.org/records/1188976 (`Audio_Speech_Actors_01-24.zip`), CC BY-NC-SA 4.0, Livingstone and Russo 2018.
Layout: `Actor_01/03-01-06-01-02-01-01.wav`, read at any depth. The name holds seven two-digit fields:

    modality     01 audio and video, 02 video without sound, 03 audio
    channel      01 speech, 02 song
    emotion      01 neutral, 02 calm, 03 happy, 04 sad, 05 angry, 06 fearful, 07 disgust, 08 surprised
    intensity    01 normal, 02 strong (neutral has no strong)
    statement    01 "Kids are talking by the door", 02 "Dogs are sitting by the door"
    repetition   01 first, 02 second
    actor        01 to 24; odd is male, even is female

Some copies nest the whole tree a second time: of files with one base name the least deep is kept. A few files are stereo.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.card import read_card
from rapport.datasets.scan import LeaveOut, Reject, Scan, audio_files, scan_files, stem, write_tones

WANTED = "RAVDESS names such as Actor_01/03-01-06-01-02-01-01.wav (seven two-digit fields), at any depth"
# The five actors that GroupShuffleSplit(test_size=0.2, random_state=42) holds out of 24.
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "published": {"validation": ("ravdess/01", "ravdess/09", "ravdess/12", "ravdess/17", "ravdess/19")}
}

_NAME = re.compile(r"\d\d(?:-\d\d){6}")
_MODALITIES = {"01": "audio-video", "02": "video", "03": "audio"}
_CHANNELS = {"01": "speech", "02": "song"}
_INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}


class Options(Config):
    """Which part of RAVDESS to read."""

    channels: tuple[Literal["speech", "song"], ...] = ("speech",)
    """Vocal channels to keep: the song files share the name scheme."""
    modalities: tuple[Literal["audio", "audio-video"], ...] = ("audio",)
    """Modalities to keep: audio is the .wav archive; audio-video also reads the sound of the .mp4 files."""


def scan(root: str, options: Options) -> Scan:
    """The rows of RAVDESS below `root`, from file names alone.

    Raises RapportError when none is found.
    """
    suffixes = (".wav", ".mp4") if "audio-video" in options.modalities else (".wav",)
    return scan_files(root, audio_files(root, suffixes), lambda path: _parse(path, options), wanted=WANTED)


def write_example(folder: Path) -> None:
    """Three short clips by two actors in the true layout."""
    write_tones(folder, ("Actor_01/03-01-01-01-01-01-01.wav", "Actor_01/03-01-05-02-02-01-01.wav", "Actor_02/03-01-03-01-01-02-02.wav"))


def _parse(path: str, options: Options) -> Utterance:
    name = stem(path)
    if not _NAME.fullmatch(name):
        raise Reject("name", f"{path}: wanted seven two-digit fields joined by hyphens, such as 03-01-06-01-02-01-12")
    modality, channel, emotion, intensity, statement, repetition, actor = name.split("-")
    labels = read_card("ravdess").label_map
    known: tuple[tuple[str, str, Mapping[str, str]], ...] = (
        ("modality", modality, _MODALITIES),
        ("vocal channel", channel, _CHANNELS),
        ("emotion", emotion, labels),
        ("intensity", intensity, _INTENSITIES),
        ("statement", statement, STATEMENTS),
        ("repetition", repetition, {"01": "first", "02": "second"}),
    )
    for field, value, codes in known:
        if value not in codes:
            raise Reject("unknown_code", f"{path}: {field} {value!r} is not one of {', '.join(codes)}")
    if actor == "00":
        raise Reject("unknown_code", f"{path}: actor '00' does not exist, they begin at 01")
    if _MODALITIES[modality] not in options.modalities:
        raise LeaveOut(f"modality {_MODALITIES[modality]}")
    if _CHANNELS[channel] not in options.channels:
        raise LeaveOut(_CHANNELS[channel])
    return Utterance(
        utterance_id=f"ravdess/{name}",
        corpus="ravdess",
        audio_path=path,
        speaker_id=f"ravdess/{actor}",
        gender="male" if int(actor) % 2 else "female",
        language="en-US",
        text=STATEMENTS[statement],
        emotion=labels[emotion],
        emotion_raw=emotion,
        intensity=_INTENSITIES[intensity],
    )
