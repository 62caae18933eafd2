"""Rows of a CSV table and objects of a JSON Lines file, with the means to say where they are wrong."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import BadRow

T = TypeVar("T")


class Unusable(Exception):
    """Raised for one row that cannot be used; the text tells value seen and value wanted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    file: str
    line: int
    """Where it begins, from 1; a quoted cell may make it several lines long."""
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """The cell without surrounding space.

        Raises Unusable where the cell has bytes that are not UTF-8.
        """
        cell = self.cells[column].strip()
        if odd := next((c for c in cell if "\udc80" <= c <= "\udcff"), None):
            raise Unusable("encoding", f'column "{column}": byte 0x{ord(odd) - 0xDC00:02x} is not UTF-8; save the table as UTF-8')
        return cell

    def number(self, column: str) -> int:
        """The cell as a whole number. Raises Unusable for anything else."""
        cell = self.text(column)
        # isdecimal also takes the digits of other scripts, which int reads as well.
        if not cell.isdecimal():
            raise Unusable("number", f'column "{column}": {cell!r}, wanted a whole number')
        return int(cell)

    def bad(self, reason: str, message: str) -> BadRow:
        """This row with what is wrong about it."""
        return BadRow(self.file, self.line, reason, message)


def read_rows(path: str, columns: Sequence[str]) -> Iterator[Row | BadRow]:
    """The rows of a CSV table with a header, which has at least these columns; a row with more or fewer cells than the header is bad.

    Empty lines are passed over. Raises RapportError when a column is absent, or when a quote is not closed, which would otherwise swallow
    the rest of the table into one cell.
    """
    # Bytes that are not UTF-8 become lone surrogates, so that they cost their own rows and not the table.
    text = storage.read_bytes(path).decode("utf-8-sig", errors="surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if absent := [column for column in columns if column not in header]:
            shown = ", ".join(header).encode("utf-8", "replace").decode() or "none"
            raise RapportError(f'{path} line 1: no column "{absent[0]}"; the columns are {shown}, wanted {", ".join(columns)} (as UTF-8)')
        begins = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                yield Row(path, begins, dict(zip(header, cells, strict=True)))
            elif any(cell.strip() for cell in cells):
                yield BadRow(path, begins, "cells", f"{len(cells)} cells, wanted {len(header)} as in the header")
            begins = reader.line_num + 1
    except csv.Error as error:
        raise RapportError(f"{path} line {reader.line_num}: {error}; is a quote not closed, or not doubled inside quotes?") from error


def read_objects(path: str) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    """The JSON objects of a file with one a line, each with its line number from 1; empty lines are passed over."""
    # Not splitlines, which also breaks at separators that JSON allows inside a string.
    for number, raw in enumerate(storage.read_bytes(path).removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            record = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            yield BadRow(path, number, "encoding", f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8")
        except json.JSONDecodeError as error:
            yield BadRow(path, number, "json", f"no JSON ({error.msg} at column {error.colno}), wanted one object a line")
        else:
            if isinstance(record, dict):
                yield number, record
            else:
                yield BadRow(path, number, "json", f"{type(record).__name__}, wanted an object")


def read_dataclass(path: str, kind: type[T], **convert: Callable[[Any], Any]) -> Iterator[T]:
    """The objects of a file with one a line as records of a dataclass; `convert` makes of a field's JSON what the field holds.

    Raises RapportError that names the line of one that is none.
    """
    for item in read_objects(path):
        if isinstance(item, BadRow):
            raise RapportError(str(item))
        number, record = item
        try:
            yield kind(**{key: convert[key](value) if key in convert else value for key, value in record.items()})
        except TypeError:
            wanted = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
            raise RapportError(f"{path} line {number}: keys {', '.join(record)}, wanted {wanted}") from None


def to_json_lines(records: Sequence[Any]) -> bytes:
    """One JSON object a line, as UTF-8."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
