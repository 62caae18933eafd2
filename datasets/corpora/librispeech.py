"""LibriSpeech: read English, 2,484 readers, 982 hours in seven subsets (292,367 files, 16 kHz FLAC).

Source: https://www.openslr.org/12, CC BY 4.0, Panayotov, Chen, Povey and Khudanpur 2015.
Layout: `train-clean-100/103/1240/103-1240-0000.flac` (subset, reader, chapter), read at any depth, with a transcript of each chapter beside
its files, `103-1240.trans.txt`: a line is an id, a space and the words in capitals without punctuation. `SPEAKERS.TXT` above the subsets
tells who is a woman; without it nobody's gender is known. The root may also be one subset.

Text stays in capitals. A recording that no transcript names, and a line of a transcript whose recording is missing, are rejected by name.
Where the copy holds subsets of several kinds, each row has the published split of its subset (train-*, dev-*, test-*); one kind alone
is left to be divided by reader.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.scan import LeaveOut, Reject, Rejected, Scan, audio_files, check_not_empty, relative, scan_files, stem, write_tones

WANTED = "LibriSpeech's folders such as train-clean-100/103/1240/103-1240-0000.flac with 103-1240.trans.txt, at any depth"
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
SUBSETS = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")

_NAME = re.compile(r"(\d+)-(\d+)-\d{4}")
_SIDES = {"train": "train", "dev": "validation", "test": "test"}


class Options(Config):
    """Which part of LibriSpeech to read."""

    subsets: tuple[str, ...] = ()
    """Subsets to keep, such as [train-clean-100, dev-clean]; all that are there unless told."""


def scan(root: str, options: Options) -> Scan:
    """The rows of LibriSpeech below `root`, from names and transcripts alone.

    Raises RapportError when none is found.
    """
    chapters = [path for path in storage.list_files(root, suffixes=(".trans.txt",)) if not stem(path).startswith("._")]
    lines = {name: (path, text) for path in chapters for name, text in _transcript(path)}
    genders = _genders(root)

    def parse(path: str) -> Utterance:
        return _parse(root, path, lines, genders, options)

    found = scan_files(root, audio_files(root, (".flac",)), parse, wanted=WANTED)
    heard = {row.utterance_id.removeprefix("librispeech/") for row in found.rows} | {stem(r.path) for r in found.rejected}
    missing = [
        Rejected(
            storage.join(posixpath.dirname(path), f"{name}.flac"), "no_audio", f"{path} has the words of {name}, whose recording is missing"
        )
        for name, (path, _) in sorted(lines.items())
        if name not in heard and _is_wanted(_subset(root, path), options)
    ]
    sides = {row.split for row in found.rows}
    rows = found.rows if len(sides) > 1 and None not in sides else [replace(row, split=None) for row in found.rows]
    rejected = sorted([*found.rejected, *missing], key=lambda r: r.path)
    return check_not_empty(Scan(rows, rejected, found.duplicates, found.left_out), root, WANTED)


def published(row: Utterance) -> str | None:
    """The side of a row by the subset it lies in: training, validation (dev) or test; None where its path tells no subset."""
    subset = _subset("", row.audio_path)
    return _SIDES[subset.split("-")[0]] if subset else None


PARTITIONS: Mapping[str, Callable[[Utterance], str | None]] = {"published": published}


def write_example(folder: Path) -> None:
    """Three short clips by two readers in the true layout."""
    subset = "train-clean-100"
    write_tones(folder / subset, ("103/1240/103-1240-0000.flac", "103/1240/103-1240-0001.flac", "1034/121119/1034-121119-0000.flac"))
    (folder / subset / "103/1240/103-1240.trans.txt").write_text("103-1240-0000 CHAPTER ONE\n103-1240-0001 A HOUSE BY A BROOK\n")
    (folder / subset / "1034/121119/1034-121119.trans.txt").write_text("1034-121119-0000 THE ROAD WENT ON\n")
    (folder / "SPEAKERS.TXT").write_text(";ID  |SEX| SUBSET           |MINUTES| NAME\n103 | F | train-clean-100 | 24.01 | K. Wiggin\n")


def _parse(root: str, path: str, lines: Mapping[str, tuple[str, str]], genders: Mapping[str, str], options: Options) -> Utterance:
    name = stem(path)
    match = _NAME.fullmatch(name)
    if match is None:
        raise Reject("name", f"{path}: wanted reader, chapter and number, such as 103-1240-0000")
    if not _is_wanted(_subset(root, path), options):
        raise LeaveOut(_subset(root, path) or "no subset in its path")
    if name not in lines:
        raise Reject("no_text", f"{path}: no transcript names it, wanted a line {name} in {match[1]}-{match[2]}.trans.txt")
    row = Utterance(
        utterance_id=f"librispeech/{name}",
        corpus="librispeech",
        audio_path=path,
        speaker_id=f"librispeech/{match[1]}",
        gender=genders.get(match[1]),
        language="en-US",
        text=lines[name][1],
    )
    side = published(row)
    return row.with_split(side) if side else row


def _transcript(path: str) -> list[tuple[str, str]]:
    """Ids and words of one chapter; a line without words is none."""
    lines = storage.read_bytes(path).decode("utf-8", errors="replace").splitlines()
    pairs = (line.strip().partition(" ") for line in lines)
    return [(name, text.strip()) for name, _, text in pairs if text.strip()]


def _genders(root: str) -> dict[str, str]:
    """Gender by reader, from the SPEAKERS.TXT of the root or of the folder above it."""
    above = posixpath.dirname(root.rstrip("/"))
    tables = [t for t in (storage.join(root, "SPEAKERS.TXT"), storage.join(above, "SPEAKERS.TXT")) if storage.exists(t)]
    if not tables:
        return {}
    text = storage.read_bytes(tables[0]).decode("utf-8", errors="replace")
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if not line.startswith(";")]
    return {row[0]: {"F": "female", "M": "male"}[row[1]] for row in cells if len(row) > 2 and row[1] in ("F", "M")}


def _subset(root: str, path: str) -> str | None:
    """The subset on the way to the file, the root's own name included."""
    folders = [*root.rstrip("/").split("/"), *(relative(root, path) if root else path).split("/")]
    named = [folder for folder in folders if folder in SUBSETS]
    return named[-1] if named else None


def _is_wanted(subset: str | None, options: Options) -> bool:
    return not options.subsets or subset in options.subsets
