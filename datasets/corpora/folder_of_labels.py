"""Your own recordings in folders named after labels: `angry/clip1.wav`, `anna/happy/002.mp3`, ...

Licence and source are yours. The label of a file is the nearest folder above it whose name is a label; common names (angry, anger, ang,
joy, fear, ...: `datasets/cards/folder_of_labels.yaml`) are known, and `label_map` adds others or overrides them. Audio of any usual format,
at any depth, suffixes in any case. The speaker comes from a regular expression on the path below the root, such as
`^(?P<speaker>[^/]+)/`; without one no speaker is known, and the corpus can only be split by utterance.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from rapport.core.config import Config
from rapport.core.emotions import check_emotion
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.card import read_card
from rapport.datasets.scan import LeaveOut, Reject, Scan, audio_files, relative, scan_files, write_tones

WANTED = "audio files in folders named after emotions, such as angry/clip1.wav; name further labels in the option label_map"
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}


class Options(Config):
    """How to read a folder of labels."""

    corpus: str = "own"
    """Name of your corpus: it begins every utterance and speaker id."""
    label_map: dict[str, str | None] = Field(default_factory=dict)
    """Folder name to canonical emotion, besides the common names; null leaves a folder out."""
    speaker: str | None = None
    """Regular expression searched in the path below the root; its group `speaker`, or its first group, is the speaker."""
    language: str | None = None
    """BCP-47 tag of all recordings, such as en-US."""


def scan(root: str, options: Options) -> Scan:
    """The rows below `root`, from paths alone.

    Raises RapportError when none is found, or when an option cannot be used.
    """
    labels = label_table(options.label_map)
    speaker = _speaker_pattern(options.speaker)

    def parse(path: str) -> Utterance:
        return _parse(relative(root, path), path, labels, speaker, options)

    return scan_files(root, audio_files(root), parse, wanted=WANTED, duplicate_names=lambda name: False)


def write_example(folder: Path) -> None:
    """Three short clips in folders named after labels."""
    write_tones(folder, ("angry/anna_1.wav", "happy/anna_2.WAV", "sad/ben_1.wav"))


def label_table(label_map: Mapping[str, str | None]) -> dict[str, str | None]:
    """Lower-case label to canonical emotion (None leaves it out): the common names and the given ones on top.

    Raises RapportError for an emotion outside the vocabulary.
    """
    given = {raw.lower(): emotion if emotion is None else check_emotion(emotion) for raw, emotion in label_map.items()}
    return {**read_card("folder_of_labels").label_map, **given}


def _speaker_pattern(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RapportError(f"option speaker {pattern!r} is no regular expression: {error}") from error
    if not compiled.groups:
        raise RapportError(f"option speaker {pattern!r} has no group: put the part that names the speaker into parentheses")
    return compiled


def _parse(inner: str, path: str, labels: Mapping[str, str | None], speaker: re.Pattern[str] | None, options: Options) -> Utterance:
    folders = inner.split("/")[:-1]
    raw = next((folder for folder in reversed(folders) if folder.lower() in labels), None)
    if raw is None:
        raise Reject(
            "unknown_label", f"{path}: none of its folders ({', '.join(folders) or 'none'}) is a label; name it in the option label_map"
        )
    emotion = labels[raw.lower()]
    if emotion is None:
        raise LeaveOut(raw)
    name = None
    if speaker is not None:
        match = speaker.search(inner)
        name = match and (match["speaker"] if "speaker" in speaker.groupindex else match[1])
        if not name:
            raise Reject("no_speaker", f"{path}: the option speaker {speaker.pattern!r} finds nobody in {inner!r}")
    return Utterance(
        utterance_id=f"{options.corpus}/{inner}",
        corpus=options.corpus,
        audio_path=path,
        speaker_id=f"{options.corpus}/{name}" if name else None,
        language=options.language,
        emotion=emotion,
        emotion_raw=raw,
    )
