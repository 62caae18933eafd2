"""LJ Speech: one woman reads seven books (13,100 files, 22.05 kHz, 24 hours).

Source: https://keithito.com/LJ-Speech-Dataset/, public domain (no licence to keep), Ito and Johnson 2017.
Layout: `metadata.csv` and `wavs/LJ001-0001.wav`. A line of the table is an id, the text as printed and the text with numbers and
abbreviations written out, between bars; quotes are part of the text. A recording that the table does not name, and a line whose recording
is missing, are rejected by name. There is one speaker: divide it by `split.method random_utterance`, as its preset does.
"""

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.scan import Reject, Rejected, Scan, audio_files, check_not_empty, scan_files, stem, write_tones

WANTED = "LJ Speech's metadata.csv and wavs/LJ001-0001.wav"
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}

_NAME = re.compile(r"LJ\d{3}-\d{4}")


class Options(Config):
    """Which text to read."""

    normalised: bool = True
    """Whether numbers and abbreviations are written out, as they are said."""


def scan(root: str, options: Options) -> Scan:
    """The rows of LJ Speech below `root`, from names and the table alone.

    Raises RapportError when none is found.
    """
    texts: dict[str, str] = {}
    odd: list[Rejected] = []
    tables = [path for path in storage.list_files(root, suffixes=(".csv",)) if posixpath.basename(path) == "metadata.csv"]
    for table in tables:
        _read_table(table, options, texts, odd)
    found = scan_files(root, audio_files(root, (".wav",)), lambda path: _parse(path, texts), wanted=WANTED)
    heard = {stem(row.audio_path) for row in found.rows} | {stem(r.path) for r in found.rejected}
    for name in sorted(texts.keys() - heard):
        path = storage.join(posixpath.dirname(tables[0]), "wavs", f"{name}.wav")
        odd.append(Rejected(path, "no_audio", f"{tables[0]} has the text of {name}, whose recording is missing"))
    rejected = sorted([*found.rejected, *odd], key=lambda r: r.path)
    return check_not_empty(Scan(found.rows, rejected, found.duplicates, found.left_out), root, WANTED)


def write_example(folder: Path) -> None:
    """Three short clips and their table in the true layout."""
    write_tones(folder, tuple(f"wavs/LJ001-000{n}.wav" for n in (1, 2, 3)), sample_rate_hz=22_050)
    lines = ("In 1455,|In fourteen fifty-five,", 'the "forty-two line Bible"|the "forty-two line Bible"', "was printed.|was printed.")
    (folder / "metadata.csv").write_text("".join(f"LJ001-000{n}|{line}\n" for n, line in enumerate(lines, 1)), encoding="utf-8")


def _parse(path: str, texts: Mapping[str, str]) -> Utterance:
    name = stem(path)
    if not _NAME.fullmatch(name):
        raise Reject("name", f"{path}: wanted book and number, such as LJ001-0001")
    if name not in texts:
        raise Reject("no_text", f"{path}: metadata.csv does not name it")
    return Utterance(
        utterance_id=f"ljspeech/{name}",
        corpus="ljspeech",
        audio_path=path,
        speaker_id="ljspeech/LJ",
        gender="female",
        language="en-US",
        text=texts[name],
    )


def _read_table(table: str, options: Options, texts: dict[str, str], rejected: list[Rejected]) -> None:
    """Add the texts of a table by id, and its odd lines."""
    # Not the csv module, for which the quotes in the text would open a cell that runs over many lines.
    lines = storage.read_bytes(table).decode("utf-8-sig", errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) not in (2, 3) or not _NAME.fullmatch(cells[0]) or not cells[1]:
            message = f"{table} line {number}: wanted id|text|normalised text, found {line.strip()[:60]!r}"
            rejected.append(Rejected(f"{table}:{number}", "table_row", message))
        else:
            # A few published lines have an empty third cell; the printed text then stands for both.
            texts.setdefault(cells[0], (cells[-1] or cells[1]) if options.normalised else cells[1])
