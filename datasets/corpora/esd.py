"""ESD: ten speakers of English and ten of Mandarin say 350 texts each in five emotions (35,000 files, 16 kHz, 29 hours).

Source: https://github.com/HLTSingapore/Emotional-Speech-Data, for research only (the licence is signed with its authors), Zhou et al. 2022.
Layout: `0011/Angry/0011_000351.wav` or `0011/Angry/train/0011_000351.wav` (train, evaluation or test), read at any depth, and beside the
folders of a speaker a table `0011/0011.txt` without header: file id, text and emotion, tab-separated. The tables are published in
several encodings (UTF-8, UTF-16, GB 18030, Windows-1252), all of which are understood; some separate by spaces. Numbers run emotion by
emotion:

    000001-000350 Neutral, 000351-000700 Angry, 000701-001050 Happy, 001051-001400 Sad, 001401-001750 Surprise

so that texts n, n + 350, n + 700, ... of one speaker are the same. Speakers 0001 to 0010 speak Mandarin, those from 0011 on English.
The emotion is that of the folder. The published partition takes the first 20 texts for evaluation, the next 30 for test and the rest for
training, with all speakers on every side: ask for it with `split.method published` and `split.name official`.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.card import read_card
from rapport.datasets.scan import LeaveOut, Reject, Rejected, Scan, audio_files, check_not_empty, scan_files, stem, write_tones

WANTED = "ESD's folders such as 0011/Angry/0011_000351.wav with the table 0011/0011.txt, at any depth"
HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
TEXTS = 350
"""Texts of a speaker; the number of a file is the number of its text, plus this times the number of its emotion."""
NUMBERED = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
"""Emotions in the order of their numbers."""
FIRST_ENGLISH = 11
WOMEN = frozenset({1, 2, 3, 7, 9, 15, 16, 17, 18, 19})
"""Numbers of the women among the twenty published speakers."""

_NAME = re.compile(r"(\d{4})_(\d{6})")
_SIDES = {"train": "train", "evaluation": "validation", "test": "test"}
_EVALUATION, _TEST = 20, 50

Language = Literal["english", "mandarin"]
Emotion = Literal["Angry", "Happy", "Neutral", "Sad", "Surprise"]


class Options(Config):
    """Which part of ESD to read."""

    languages: tuple[Language, ...] = ("english",)
    """Languages to keep: speakers 0001 to 0010 speak Mandarin, the others English."""
    emotions: tuple[Emotion, ...] = ("Angry", "Happy", "Neutral", "Sad", "Surprise")
    """Emotions to keep, as the folders are called."""


def scan(root: str, options: Options) -> Scan:
    """The rows of ESD below `root`, from names and tables alone.

    Raises RapportError when none is found.
    """
    tables = {stem(t): t for t in storage.list_files(root, suffixes=(".txt",)) if re.fullmatch(r"\d{4}", stem(t))}
    texts: dict[str, str] = {}
    odd: list[Rejected] = []
    for speaker, table in tables.items():
        if _language(int(speaker)) in options.languages:
            _read_table(table, texts, odd)
    found = scan_files(root, audio_files(root, (".wav",)), lambda path: _parse(path, texts, options), wanted=WANTED)
    heard = {row.utterance_id.removeprefix("esd/") for row in found.rows} | {stem(r.path) for r in found.rejected}
    for name in sorted(texts.keys() - heard):
        emotion = NUMBERED[min((int(name[5:]) - 1) // TEXTS, len(NUMBERED) - 1)]
        if emotion in options.emotions:
            path = storage.join(posixpath.dirname(tables[name[:4]]), emotion, f"{name}.wav")
            odd.append(Rejected(path, "no_audio", f"{tables[name[:4]]} has the text of {name}, whose recording is missing"))
    rejected = sorted([*found.rejected, *odd], key=lambda r: r.path)
    return check_not_empty(Scan(found.rows, rejected, found.duplicates, found.left_out), root, WANTED)


def official(row: Utterance) -> str | None:
    """The side of a row in the published partition, by its folder, or by its number where the folder does not tell."""
    folder = posixpath.basename(posixpath.dirname(row.audio_path))
    if folder in _SIDES:
        return _SIDES[folder]
    match = _NAME.fullmatch(stem(row.audio_path))
    if match is None:
        return None
    number = (int(match[2]) - 1) % TEXTS
    return "validation" if number < _EVALUATION else "test" if number < _TEST else "train"


PARTITIONS: Mapping[str, Callable[[Utterance], str | None]] = {"official": official}


def file_id(speaker: str, emotion: str, text: int) -> str:
    """The name of a speaker's file by emotion, as in `NUMBERED`, and number of the text, from 1: `0011_000351`."""
    return f"{speaker}_{NUMBERED.index(emotion) * TEXTS + text:06d}"


def gender_of(speaker: str) -> str | None:
    """The gender of one of the twenty published speakers; None for others."""
    number = int(speaker)
    return ("female" if number in WOMEN else "male") if 1 <= number <= 20 else None


def write_example(folder: Path) -> None:
    """Three short clips by two speakers in the true layout."""
    write_tones(folder, ("0011/Neutral/0011_000001.wav", "0011/Angry/0011_000351.wav", "0012/Happy/evaluation/0012_000701.wav"))
    lines = "0011_000001\tThe window was open.\tNeutral\n0011_000351\tThe window was open.\tAngry\n"
    (folder / "0011/0011.txt").write_text(lines, encoding="utf-8")
    (folder / "0012/0012.txt").write_text("0012_000701\tThe window was open.\tHappy  \r\n", encoding="utf-16")


def _parse(path: str, texts: Mapping[str, str], options: Options) -> Utterance:
    name = stem(path)
    match = _NAME.fullmatch(name)
    if match is None:
        raise Reject("name", f"{path}: wanted speaker and number, such as 0011_000351")
    speaker = match[1]
    if _language(int(speaker)) not in options.languages:
        raise LeaveOut(_language(int(speaker)))
    labels = read_card("esd").label_map
    folders = [folder for folder in path.split("/")[:-1] if folder in labels]
    if not folders:
        raise Reject("unknown_label", f"{path}: no folder on the way to it is called {', '.join(labels)}")
    emotion = folders[-1]
    if emotion not in options.emotions:
        raise LeaveOut(emotion)
    if name not in texts:
        raise Reject("no_text", f"{path}: no table names it, wanted a line {name} in {speaker}/{speaker}.txt")
    return Utterance(
        utterance_id=f"esd/{name}",
        corpus="esd",
        audio_path=path,
        speaker_id=f"esd/{speaker}",
        gender=gender_of(speaker),
        language={"english": "en", "mandarin": "zh"}[_language(int(speaker))],
        text=texts[name],
        emotion=labels[emotion],
        emotion_raw=emotion,
    )


def _language(speaker: int) -> Language:
    return "english" if speaker >= FIRST_ENGLISH else "mandarin"


def _read_table(table: str, texts: dict[str, str], rejected: list[Rejected]) -> None:
    """Add the texts of one speaker's table by file id, and its odd lines."""
    fallback = "cp1252" if _language(int(stem(table))) == "english" else "gb18030"
    for number, line in enumerate(_decode(storage.read_bytes(table), fallback).splitlines(), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else _cells(line)
        if len(cells) < 2 or not _NAME.fullmatch(cells[0]) or not cells[1]:
            message = f"{table} line {number}: wanted file id, text and emotion between tabs, found {line.strip()[:60]!r}"
            rejected.append(Rejected(f"{table}:{number}", "table_row", message))
        else:
            texts.setdefault(cells[0], cells[1])


def _cells(line: str) -> list[str]:
    """The cells of a line without tabs: the first word, the middle, and the last word."""
    name, _, rest = line.strip().partition(" ")
    text, _, _ = rest.strip().rpartition(" ")
    return [name, text.strip()]


def _decode(data: bytes, fallback: str) -> str:
    """The text of a table in whichever encoding it was published; `fallback` is that of tables that are not Unicode."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if data.count(0) > len(data) // 4:  # UTF-16 without its mark: every other byte of English is zero
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(fallback, errors="replace")
