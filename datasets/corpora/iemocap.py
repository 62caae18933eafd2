"""IEMOCAP: in each of five sessions a woman and a man play scenes, improvised and scripted (10,039 utterances, 16 kHz, 12 hours).

Source: https://sail.usc.edu/iemocap/, for research only (the licence is asked for there), Busso et al. 2008.
Layout, read at any depth:

    Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M003.wav     one utterance
    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt                  times, emotion, valence, activation and dominance of each
    Session1/dialog/transcriptions/Ses01F_impro01.txt                 words of each; without this folder nobody's words are known

The name of a dialogue tells the session, F or M for the actor who wears the markers of the motion capture, and the scene; that of an
utterance adds F or M for who speaks, and a number. An utterance is labelled in the line of the table that begins with its times:

    [6.2901 - 8.2357]<tab>Ses01F_impro01_F000<tab>neu<tab>[2.5000, 2.5000, 2.5000]

and the lines of the single annotators, which follow, are passed over. Codes are those of the card; `xxx` (no majority) and `oth` (something
else) become rows without an emotion. Valence, activation and dominance reach from 1 to 5. Whole dialogues (`dialog/wav`) and the shadow
files `._name` of macOS are passed over.

Published work leaves one session out: `split.method published` with `split.name session1` to `session5` tests on that session and
validates on the one after it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.schema import Utterance
from rapport.datasets.card import read_card
from rapport.datasets.scan import LeaveOut, Reject, Rejected, Scan, audio_files, check_not_empty, relative, scan_files, stem, write_tones

WANTED = "IEMOCAP's folders such as Session1/sentences/wav/Ses01F_impro01 and Session1/dialog/EmoEvaluation, at any depth"
SESSIONS = 5
GENDERS: Mapping[str, str] = {"F": "female", "M": "male"}
UNLABELLED = ("xxx", "oth")
"""Codes of utterances that have no emotion of ours."""
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
"""First line of every table."""

_DIALOGUE = r"(?P<dialogue>Ses(?P<session>\d\d)(?P<wearer>[FM])_(?P<style>impro|script)\d\d(?:_\d)?[a-z]?)"
_NAME = re.compile(_DIALOGUE + r"_(?P<speaker>[FM])\d{3}")
_WHOLE = re.compile(_DIALOGUE)
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_LINE = re.compile(rf"\[{_NUMBER}\s*-\s*{_NUMBER}\]\s+(\S+)\s+(\S+)\s+\[{_NUMBER},\s*{_NUMBER},\s*{_NUMBER}\]")
_WORDS = re.compile(r"(\S+)\s+\[[^\]]*\]:?\s*(.*)")

Style = Literal["improvised", "scripted"]
_STYLES: Mapping[str, Style] = {"impro": "improvised", "script": "scripted"}


class Options(Config):
    """Which part of IEMOCAP to read."""

    styles: tuple[Style, ...] = ("improvised", "scripted")
    """Kinds of scenes to keep."""
    emotions: tuple[str, ...] = ()
    """Codes to keep, such as [ang, hap, exc, sad, neu]; all, xxx and oth among them, unless told."""
    excited_as_happy: bool = False
    """Take exc for happy, as the four-class task of published work does."""


class Name(NamedTuple):
    """What the name of an utterance tells."""

    dialogue: str
    session: int
    wearer: str
    """F or M: who wears the markers."""
    style: Style
    speaker: str
    """F or M: who speaks."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the table of a dialogue tells of one utterance."""

    utterance: str
    start_s: float
    """In the recording of the dialogue."""
    end_s: float
    emotion: str
    """The code."""
    valence: float
    """1 (negative) to 5, the mean over annotators, as the next two."""
    activation: float
    dominance: float

    @property
    def name(self) -> Name:
        """What its name tells."""
        found = parse_name(self.utterance)
        assert found is not None, f"{self.utterance} was not read from a table"
        return found


def scan(root: str, options: Options) -> Scan:
    """The rows of IEMOCAP below `root`, from names and tables alone.

    `turn` counts the utterances of a dialogue from 0 by the time at which they begin. Raises RapportError when none is found.
    """
    evaluations, odd = read_evaluations(root)
    texts = _texts(root)
    turns = {e.utterance: turn for dialogue in by_dialogue(evaluations).values() for turn, e in enumerate(dialogue)}
    recordings = [path for path in audio_files(root, (".wav",)) if parse_name(stem(path)) or not _WHOLE.fullmatch(stem(path))]

    def parse(path: str) -> Utterance:
        return _parse(path, evaluations, turns, texts, options)

    found = scan_files(root, recordings, parse, wanted=WANTED)
    for name in sorted(evaluations.keys() - {stem(path) for path in recordings}):
        if _left_out(evaluations[name], options) is None:
            path = storage.join(root, recording_of(evaluations[name].name, name))
            odd.append(Rejected(path, "no_audio", f"EmoEvaluation has the label of {name}, whose recording is missing"))
    rejected = sorted([*found.rejected, *odd], key=lambda r: r.path)
    return check_not_empty(Scan(found.rows, rejected, found.duplicates, found.left_out), root, WANTED)


def parse_name(name: str) -> Name | None:
    """What the name of an utterance, such as `Ses01F_impro01_M003`, tells; None for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Name(match["dialogue"], int(match["session"]), match["wearer"], _STYLES[match["style"]], match["speaker"])


def actor(session: int, letter: str) -> str:
    """The speaker id of the woman (F) or the man (M) of a session: `iemocap/Ses01_F`."""
    return f"iemocap/Ses{session:02d}_{letter}"


def recording_of(name: Name, utterance: str) -> str:
    """Where the recording of an utterance lies, relative to the corpus."""
    return f"Session{name.session}/sentences/wav/{name.dialogue}/{utterance}.wav"


def read_evaluations(root: str) -> tuple[dict[str, Evaluation], list[Rejected]]:
    """What the tables below `root` tell of each utterance, by its name, and the lines that cannot be read."""
    found: dict[str, Evaluation] = {}
    odd: list[Rejected] = []
    for table in tables(root, "EmoEvaluation"):
        for number, line in enumerate(_lines(table), 1):
            if not line.startswith("["):
                continue
            evaluation = _evaluation(line)
            if evaluation is None:
                message = f"{table} line {number}: wanted [start - end], name, code and [v, a, d] between tabs, found {line[:80]!r}"
                odd.append(Rejected(f"{table}:{number}", "table_row", message))
            else:
                found.setdefault(evaluation.utterance, evaluation)
    return found, odd


def by_dialogue(evaluations: Mapping[str, Evaluation]) -> dict[str, list[Evaluation]]:
    """Dialogue to its utterances in the order in which they begin."""
    dialogues: dict[str, list[Evaluation]] = {}
    for evaluation in sorted(evaluations.values(), key=lambda e: (e.name.dialogue, e.start_s, e.utterance)):
        dialogues.setdefault(evaluation.name.dialogue, []).append(evaluation)
    return dialogues


def tables(root: str, folder: str) -> list[str]:
    """The text files below `root` that lie in a folder of that name, sorted; not those of its own folders, and no shadow files."""
    paths = storage.list_files(root, suffixes=(".txt",))
    parts = ((path, relative(root, path).split("/")) for path in paths)
    above = storage.join(root).rpartition("/")[2]  # the root may be that folder itself
    return [path for path, names in parts if [above, *names][-2] == folder and not any(name.startswith("._") for name in names)]


def _held_out(session: int) -> dict[str, tuple[str, ...]]:
    after = session % SESSIONS + 1
    return {side: (actor(which, "F"), actor(which, "M")) for side, which in (("validation", after), ("test", session))}


HELD_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {f"session{n}": _held_out(n) for n in range(1, SESSIONS + 1)}


def write_example(folder: Path) -> None:
    """Three short clips of two sessions in the true layout."""
    scenes = {
        "Ses01F_impro01": (("F000", "neu", "Excuse me."), ("M000", "xxx", "Do you have your forms?")),
        "Ses02M_script01_1": (("F000", "ang", "Where are you going?"),),
    }
    for dialogue, said in scenes.items():
        session = folder / f"Session{int(dialogue[3:5])}"
        write_tones(session / "sentences/wav" / dialogue, [f"{dialogue}_{number}.wav" for number, _, _ in said])
        evaluations, transcription = [HEADER, ""], []
        for turn, (number, code, text) in enumerate(said):
            utterance, start_s, end_s = f"{dialogue}_{number}", turn + 0.25, turn + 0.75
            evaluations += [f"[{start_s:.4f} - {end_s:.4f}]\t{utterance}\t{code}\t[2.5000, 2.5000, 3.0000]", "C-E1:\tOther;\t()", ""]
            transcription.append(f"{utterance} [{start_s:08.4f}-{end_s:08.4f}]: {text}")
        for kind, lines in (("EmoEvaluation", evaluations), ("transcriptions", transcription)):
            (session / "dialog" / kind).mkdir(parents=True, exist_ok=True)
            (session / "dialog" / kind / f"{dialogue}.txt").write_text("\n".join(lines) + "\n")


def _parse(
    path: str,
    evaluations: Mapping[str, Evaluation],
    turns: Mapping[str, int],
    texts: Mapping[str, Mapping[str, str]],
    options: Options,
) -> Utterance:
    utterance = stem(path)
    name = parse_name(utterance)
    if name is None:
        raise Reject("name", f"{path}: wanted a dialogue, F or M, and three digits, such as Ses01F_impro01_M003")
    if utterance not in evaluations:
        raise Reject("no_label", f"{path}: no table names it, wanted a line {utterance} in EmoEvaluation/{name.dialogue}.txt")
    evaluation = evaluations[utterance]
    labels = read_card("iemocap").label_map
    if evaluation.emotion not in (*labels, *UNLABELLED):
        codes = ", ".join((*labels, *UNLABELLED))
        raise Reject("unknown_label", f"{path}: EmoEvaluation calls it {evaluation.emotion!r}, which is not one of {codes}")
    if cause := _left_out(evaluation, options):
        raise LeaveOut(cause)
    # A transcription that is not there is no fault of the recording; one that passes it over is.
    if name.dialogue in texts and utterance not in texts[name.dialogue]:
        raise Reject("no_text", f"{path}: wanted a line {utterance} in transcriptions/{name.dialogue}.txt")
    emotion = labels.get(evaluation.emotion)
    return Utterance(
        utterance_id=f"iemocap/{utterance}",
        corpus="iemocap",
        audio_path=path,
        speaker_id=actor(name.session, name.speaker),
        gender=GENDERS[name.speaker],
        language="en-US",
        text=texts.get(name.dialogue, {}).get(utterance),
        emotion="happy" if options.excited_as_happy and emotion == "excited" else emotion,
        emotion_raw=evaluation.emotion,
        dialogue_id=f"iemocap/{name.dialogue}",
        turn=turns[utterance],
    )


def _left_out(evaluation: Evaluation, options: Options) -> str | None:
    """Why the options exclude an utterance; None when they do not."""
    if evaluation.name.style not in options.styles:
        return evaluation.name.style
    return evaluation.emotion if options.emotions and evaluation.emotion not in options.emotions else None


def _evaluation(line: str) -> Evaluation | None:
    """What the first line of an utterance tells; None when it does not hold together."""
    match = _LINE.match(line)
    if match is None or parse_name(match[3]) is None or float(match[2]) <= float(match[1]):
        return None
    start_s, end_s, utterance, code, *ratings = match.groups()
    valence, activation, dominance = map(float, ratings)
    return Evaluation(utterance, float(start_s), float(end_s), code, valence, activation, dominance)


def _texts(root: str) -> dict[str, dict[str, str]]:
    """Dialogue to utterance to words. Lines of breaths and of unnamed voices, which have no recording, are passed over."""
    texts: dict[str, dict[str, str]] = {}
    for path in tables(root, "transcriptions"):
        words = (_WORDS.fullmatch(line.strip()) for line in _lines(path))
        texts.setdefault(stem(path), {}).update((m[1], m[2].strip()) for m in words if m and m[2].strip() and parse_name(m[1]))
    return texts


def _lines(path: str) -> list[str]:
    return storage.read_bytes(path).decode("utf-8", errors="replace").splitlines()
