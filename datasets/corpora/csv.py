"""Your own recordings listed in a table: one line a recording, with its path, label, speaker and what else is known.

Licence and source are yours. The table is CSV with a header; the delimiter (comma, semicolon, tab or bar) is found out, quotes and a byte
order mark are understood. Relative paths are taken from the folder of the table. Labels map as in `folder_of_labels`: common names are
known, `label_map` adds others. `corpus.root` is the table itself, or a folder that holds it under the name of the option `table`.

    path,emotion,speaker,split,text
    clips/1.wav,angry,anna,train,"No, not again!"

A line that cannot be used is rejected by name, with its number and column; the other lines go on.
"""

import csv
import io
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.corpora.folder_of_labels import label_table
from rapport.datasets.scan import LeaveOut, Reject, Rejected, Scan, check_not_empty, write_tones

HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_GENDERS = {**dict.fromkeys(("female", "f", "woman"), "female"), **dict.fromkeys(("male", "m", "man"), "male")}


class Options(Config):
    """Which column holds what. A column that is set to null is not read; one that is named must be there."""

    corpus: str = "own"
    """Name of your corpus: it begins every utterance and speaker id."""
    table: str = "labels.csv"
    """Name of the table, when the corpus' root is a folder."""
    path_column: str = "path"
    """Column of audio paths: absolute, URIs, or relative to the table."""
    label_column: str | None = "emotion"
    """Column of labels; an empty cell is an unlabelled recording."""
    speaker_column: str | None = "speaker"
    """Column of speakers; an empty cell is an unknown speaker."""
    split_column: str | None = None
    """Column of splits: train, validation (val, dev) or test."""
    text_column: str | None = None
    """Column of transcripts."""
    gender_column: str | None = None
    """Column of genders: female (f) or male (m)."""
    start_column: str | None = None
    """Column of where an utterance begins in its file, in seconds."""
    end_column: str | None = None
    """Column of where it ends, in seconds."""
    label_map: dict[str, str | None] = Field(default_factory=dict)
    """Label to canonical emotion, besides the common names; null leaves such lines out."""
    language: str | None = None
    """BCP-47 tag of all recordings, such as en-US."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Delimiter of the table; null finds it out."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the table with the means to say where it is wrong."""

    table: str
    number: int
    cells: Mapping[str, str]

    def get(self, column: str | None) -> str | None:
        """The cell without surrounding space; None when empty or not read."""
        return (self.cells[column].strip() or None) if column else None

    def reject(self, reason: str, column: str, message: str) -> Reject:
        return Reject(reason, f'{self.table} line {self.number}, column "{column}": {message}')


def scan(root: str, options: Options) -> Scan:
    """The rows of the table.

    Raises RapportError when the table or a named column is absent, or when no line can be used.
    """
    table = root if posixpath.splitext(root)[1].lower() in {".csv", ".tsv", ".txt"} else storage.join(root, options.table)
    labels = label_table(options.label_map)
    rows: dict[str, Utterance] = {}
    rejected: list[Rejected] = []
    numbers: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for line in _lines(table, options):
        place = f"{table}:{line.number}"
        try:
            row = _row(line, labels, options)
            if row.utterance_id in rows:
                _check_repeated(line, row, rows[row.utterance_id], numbers[row.utterance_id], options)
        except Reject as problem:
            rejected.append(Rejected(place, problem.reason, str(problem)))
        except LeaveOut as cause:
            left_out[str(cause)] = left_out.get(str(cause), 0) + 1
        else:
            rows[row.utterance_id] = row
            numbers[row.utterance_id] = line.number
    scan = Scan([rows[key] for key in sorted(rows)], rejected, left_out=left_out)
    return check_not_empty(scan, table, "a table with at least one usable line")


def write_example(folder: Path) -> None:
    """Three short clips and the table that lists them."""
    write_tones(folder, ("clips/1.wav", "clips/2.wav", "clips/3.wav"))
    lines = "path,emotion,speaker\nclips/1.wav,angry,anna\nclips/2.wav,happy,anna\nclips/3.wav,sad,ben\n"
    (folder / "labels.csv").write_text(lines, encoding="utf-8")


def _lines(table: str, options: Options) -> Iterator[_Line]:
    if not storage.exists(table):
        raise RapportError(f"{table} does not exist: set corpus.root to the table, or the option table to its name in that folder")
    try:
        text = storage.read_bytes(table).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RapportError(f"{table}: not UTF-8 at byte {error.start}; save the table as UTF-8") from error
    wanted = [c for c in (getattr(options, name) for name in Options.model_fields if name.endswith("_column")) if c]
    delimiter = options.delimiter or _delimiter(text, options.path_column)
    # Strict, because an unclosed quote would otherwise swallow the rest of the table into one cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        body = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise RapportError(f"{table} line {reader.line_num}: {error}; is a quote not closed, or not doubled inside quotes?") from error
    if absent := [column for column in wanted if column not in header]:
        raise RapportError(
            f'{table} line 1: no column "{absent[0]}"; the columns are {", ".join(header) or "none"}. '
            "Name yours in the options path_column, label_column, speaker_column, ..., or set those you lack to null"
        )
    for number, cells in body:
        if not any(cell.strip() for cell in cells):
            continue
        # Short lines are filled, so that the missing cell is reported under its column's name or counts as empty.
        filled = cells + [""] * (len(header) - len(cells))
        yield _Line(table, number, dict(zip(header, filled, strict=False)))


def _delimiter(text: str, path_column: str) -> str:
    """The delimiter under which the header has the path column; csv.Sniffer alone is misled by commas in transcripts."""
    header = text.split("\n", 1)[0]
    for delimiter in ",;\t|":
        if path_column in (cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])):
            return delimiter
    try:
        return csv.Sniffer().sniff(text[:8192], ",;\t|").delimiter
    except csv.Error:
        return ","


def _row(line: _Line, labels: Mapping[str, str | None], options: Options) -> Utterance:
    path = line.get(options.path_column)
    if path is None:
        raise line.reject("table_row", options.path_column, "empty, wanted the path of an audio file")
    emotion, raw = _emotion(line, labels, options)
    start_s, end_s = (_seconds(line, column) for column in (options.start_column, options.end_column))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise line.reject("table_row", str(options.end_column), f"{end_s} s is not after the start, {start_s or 0.0} s")
    speaker = line.get(options.speaker_column)
    # Tables are also written on Windows.
    path = path if "/" in path else path.replace("\\", "/")
    segment = "" if start_s is None and end_s is None else f"#{start_s or 0.0:g}-{'' if end_s is None else f'{end_s:g}'}"
    return Utterance(
        utterance_id=f"{options.corpus}/{path}{segment}",
        corpus=options.corpus,
        audio_path=path if "://" in path or posixpath.isabs(path) else storage.join(posixpath.dirname(line.table), path),
        split=_choice(line, options.split_column, _SPLITS),
        start_s=start_s or 0.0,
        end_s=end_s,
        speaker_id=f"{options.corpus}/{speaker}" if speaker else None,
        gender=_choice(line, options.gender_column, _GENDERS),
        language=options.language,
        text=line.get(options.text_column),
        emotion=emotion,
        emotion_raw=raw,
    )


def _check_repeated(line: _Line, row: Utterance, first: Utterance, number: int, options: Options) -> None:
    if row == first:
        raise LeaveOut("repeated line")
    raise line.reject("table_row", options.path_column, f"says something else about {row.utterance_id} than line {number}, which is kept")


def _emotion(line: _Line, labels: Mapping[str, str | None], options: Options) -> tuple[str | None, str | None]:
    raw = line.get(options.label_column)
    if raw is None:
        return None, None
    if raw.lower() not in labels:
        raise line.reject("unknown_label", str(options.label_column), f"{raw!r} is no known label; name it in the option label_map")
    emotion = labels[raw.lower()]
    if emotion is None:
        raise LeaveOut(raw)
    return emotion, raw


def _seconds(line: _Line, column: str | None) -> float | None:
    text = line.get(column)
    if column is None or text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise line.reject("table_row", column, f"{text!r} is no time, wanted seconds from 0 up")
    return value


def _choice(line: _Line, column: str | None, choices: Mapping[str, str]) -> str | None:
    text = line.get(column)
    if column is None or text is None:
        return None
    if text.lower() not in choices:
        raise line.reject("table_row", column, f"{text!r} is not one of {', '.join(dict.fromkeys(choices.values()))}")
    return choices[text.lower()]
