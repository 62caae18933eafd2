"""What a corpus loader hands over: rows, and by name everything that did not become one.

A scan reads names and tables only and opens no audio. One odd file never ends it: the file is listed under `rejected` with a reason, and
the preparing job moves it to quarantine. Only a folder in which nothing at all can be used is an error.
"""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".webm", ".mp4", ".aif", ".aiff")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One file or table line that cannot become a row."""

    path: str
    reason: str
    """A short code: `name`, `unknown_code`, `unknown_label`, `no_speaker`, `no_text`, `no_audio`, `table_row`."""
    message: str
    """One sentence for the person who must mend it: value seen, value wanted."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file left out because another of the same name is already a row."""

    path: str
    kept: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The outcome of scanning one corpus, in an order that depends on names only."""

    rows: list[Utterance]
    rejected: list[Rejected] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    """Files that the options exclude, counted by cause, such as `{"song": 1012}`."""


class Reject(Exception):
    """Raised by a parser for one file; `scan_files` turns it into a `Rejected`."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class LeaveOut(Exception):
    """Raised by a parser for a file that the options exclude; the text is the cause under which it is counted."""


def scan_files(
    root: str, paths: Iterable[str], parse: Callable[[str], Utterance], *, wanted: str, duplicate_names: Callable[[str], bool] = bool
) -> Scan:
    """The scan of a list of files with a parser that turns one path into one row.

    Of several files with the same base name (without suffix, in any case) the least deep is kept: some copies of a corpus nest
    a second tree inside the first. `duplicate_names` says for which stems that holds. `wanted` describes the layout in the error.
    Raises RapportError when no row comes out.
    """
    rows: list[Utterance] = []
    rejected: list[Rejected] = []
    duplicates: list[Duplicate] = []
    left_out: Counter[str] = Counter()
    first: dict[str, str] = {}
    for path in sorted(paths, key=lambda p: (p.count("/"), p)):
        name = stem(path)
        key = name.lower() if duplicate_names(name) else path
        if key in first:
            duplicates.append(Duplicate(path, first[key]))
            continue
        try:
            row = parse(path)
        except Reject as problem:
            rejected.append(Rejected(path, problem.reason, str(problem)))
        except LeaveOut as cause:
            left_out[str(cause)] += 1
        else:
            first[key] = path
            rows.append(row)
    scan = Scan(
        sorted(rows, key=lambda r: r.utterance_id),
        sorted(rejected, key=lambda r: r.path),
        sorted(duplicates, key=lambda d: d.path),
        dict(sorted(left_out.items())),
    )
    return check_not_empty(scan, root, wanted)


def check_not_empty(scan: Scan, root: str, wanted: str) -> Scan:
    """The scan itself, when it has a row.

    Raises RapportError otherwise, telling what was there and what layout was wanted.
    """
    if scan.rows:
        return scan
    found = [f"{len(scan.rejected)} files that do not fit, the first: {scan.rejected[0].message}"] if scan.rejected else []
    found += [f"{count} left out by the options as {cause}" for cause, count in scan.left_out.items()]
    raise RapportError(f"{root}: no usable recording; found {'; '.join(found) or 'no audio file'}. Wanted {wanted}")


def audio_files(root: str, suffixes: tuple[str, ...] = AUDIO_SUFFIXES) -> list[str]:
    """Audio files below `root`, sorted; suffixes in any case, and without the shadow files (`._name`) that macOS archives carry.

    Raises RapportError when `root` is no folder.
    """
    return [
        p for p in storage.list_files(root, suffixes=suffixes) if not any(part.startswith("._") for part in relative(root, p).split("/"))
    ]


def stem(path: str) -> str:
    """The base name without its suffix."""
    return posixpath.splitext(posixpath.basename(path))[0]


def relative(root: str, path: str) -> str:
    """The path below `root`, for local paths and URIs alike."""
    base = storage.join(root) if "://" in root else storage.resolve(root)[1]
    return posixpath.relpath(path, base)


def write_tones(folder: Path, names: Iterable[str], duration_s: float = 0.5, sample_rate_hz: int = 16_000) -> None:
    """Write one short, audible harmonic tone per name, each different, for a corpus' `write_example`."""
    for path, samples in _tones(folder, names, int(duration_s * sample_rate_hz), sample_rate_hz):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, sample_rate_hz, format="FLAC" if path.suffix == ".flac" else "WAV", subtype="PCM_16")


def _tones(folder: Path, names: Iterable[str], length: int, rate: int) -> Iterator[tuple[Path, np.ndarray]]:
    time_s = np.arange(length) / rate
    for index, name in enumerate(names):
        pitch_hz = 110.0 * 1.2**index
        wave = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 6))
        yield folder / name, (0.1 * wave * np.hanning(length)).astype(np.float32)
