"""MUSAN: 930 noises, 660 pieces of music and 426 recordings of speech (109 h, 16 kHz), to mix under speech while training.

Source: https://www.openslr.org/17/, CC BY 4.0, Snyder, Chen and Povey 2015.
Layout: `noise/free-sound/noise-free-sound-0000.wav`, `speech/librivox/...`, `music/fma/...`, read at any depth, and flat copies as well.
The category is the last folder called noise, music or speech on the way to the file; without one, the first word of a published name;
without that, `other_category` of the options, so that any folder of noises can be read.

Rows carry no emotion, speaker or text; the category stands in `emotion_raw`. They are training material as a whole.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.scan import LeaveOut, Reject, Scan, audio_files, relative, scan_files, stem, write_tones

WANTED = "MUSAN's folders noise/, music/ or speech/ with .wav, .flac, .mp3 or .ogg files at any depth"
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}

Category = Literal["noise", "music", "speech"]
_CATEGORIES: tuple[str, ...] = get_args(Category)
_PUBLISHED_NAME = re.compile(r"(noise|music|speech)(-[a-z]+)+-\d{4}")


class Options(Config):
    """Which sounds to read."""

    categories: tuple[Category, ...] = ("noise",)
    """Categories to keep: music and speech under speech are harder, and speech puts a second speaker into the clip."""
    other_category: Category | None = "noise"
    """Category of files that neither folder nor name tells; null rejects them."""


def scan(root: str, options: Options) -> Scan:
    """The sounds below `root`, from folder and file names alone.

    Raises RapportError when none is found.
    """

    def parse(path: str) -> Utterance:
        return _parse(root, path, options)

    # Other people's noises may share a base name without being copies; published names are unique.
    return scan_files(
        root,
        audio_files(root, (".wav", ".flac", ".mp3", ".ogg")),
        parse,
        wanted=WANTED,
        duplicate_names=lambda name: _PUBLISHED_NAME.fullmatch(name) is not None,
    )


def write_example(folder: Path) -> None:
    """Three short sounds of the default category in the true layout."""
    write_tones(
        folder,
        (
            "noise/free-sound/noise-free-sound-0000.wav",
            "noise/free-sound/noise-free-sound-0001.wav",
            "noise/sound-bible/noise-sound-bible-0000.wav",
        ),
    )


def _parse(root: str, path: str, options: Options) -> Utterance:
    inner = relative(root, path)
    category = _category(root, inner) or options.other_category
    if category is None:
        raise Reject("unknown_label", f"{path}: wanted a folder noise, music or speech on the way to it, or set other_category")
    if category not in options.categories:
        raise LeaveOut(category)
    name = stem(path)
    return Utterance(
        utterance_id=f"musan/{name if _PUBLISHED_NAME.fullmatch(name) else inner}",
        corpus="musan",
        audio_path=path,
        emotion_raw=category,
    )


def _category(root: str, inner: str) -> str | None:
    # The root itself counts: people also point straight at musan/noise.
    folders = [stem(root.rstrip("/")), *inner.split("/")[:-1]]
    named = [folder.lower() for folder in folders if folder.lower() in _CATEGORIES]
    if named:
        return named[-1]
    published = _PUBLISHED_NAME.fullmatch(stem(inner))
    return published[1] if published else None
