"""IEMOCAP in writing: 151 conversations of two, scripted and improvised, of which lines in six emotions are scored.

Source: https://sail.usc.edu/iemocap/, for research only (the licence is asked for there; nothing of it is passed on), Busso et al. 2008.
Read, at any depth:

    Session1/dialog/transcriptions/Ses01F_impro01.txt     Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt      [6.2901 - 8.2357]<tab>Ses01F_impro01_F000<tab>neu<tab>[2.5000, 2.5000, 2.5000]

Lines are ordered by the time at which they begin. Who speaks is the letter before the number of the line, not that in the name of the
dialogue. Session 5 is the test side, twelve dialogues of the others are the validation side, as in published work on conversations.
Published work shows a model only lines in one of the six emotions; `history all_turns` keeps the others as context without a label.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rapport.core import storage
from rapport.core.conversations import LABELS, Conversation, Line
from rapport.datasets.conversations.card import count_deviations, read_conversation_card
from rapport.datasets.conversations.records import BadRow, Conversations, ReadOptions, check_bad, check_some, is_made, numbered
from rapport.datasets.conversations.text import clean
from rapport.datasets.corpora.iemocap import HEADER, Evaluation, by_dialogue, parse_name, read_evaluations, tables

VALIDATION = frozenset(
    (
        "Ses01M_impro01",
        "Ses01M_script03_1",
        "Ses02F_impro02",
        "Ses02F_impro07",
        "Ses02M_script01_2",
        "Ses03F_impro01",
        "Ses03M_impro02",
        "Ses03M_impro08a",
        "Ses03M_script02_2",
        "Ses03M_script03_2",
        "Ses04F_impro07",
        "Ses04F_script02_1",
    )
)
TEST_SESSION = 5
SPEAKERS: Mapping[str, str] = {"F": "Speaker F", "M": "Speaker M"}
"""Who they are is not published, and they play somebody else in each scene."""

_WORDS = re.compile(r"(\S+)\s+\[[^\]]*\]:?\s*(.*)")


class Options(ReadOptions):
    """Which lines of IEMOCAP to show."""

    history: Literal["scored", "all_turns"] = "scored"
    """scored leaves out the lines in other emotions or none, as published work does; all_turns keeps them as context."""


def read(root: str, options: Options | None = None) -> Conversations:
    """The conversations whose two files are there, with the labels of the benchmark.

    Raises RapportError when there is none, or when too many rows are bad.
    """
    options = options or Options()
    evaluations, odd = read_evaluations(root)
    words, where, without = _transcriptions(root, evaluations)
    found = Conversations("iemocap", LABELS["iemocap"], [])
    for rejected in odd:
        file, _, number = rejected.path.rpartition(":")
        found.bad.append(BadRow(file, int(number), "cells", rejected.message.partition(": ")[2]))
    card = read_conversation_card("iemocap")
    for dialogue, lines in by_dialogue(evaluations).items():
        split = side_of(dialogue)
        if split not in options.splits:
            continue
        kept = []
        for evaluation in lines:
            line = _line(evaluation, words, where, found.bad)
            if line is not None and (line.label is not None or options.history == "all_turns"):
                kept.append(line)
        # A dialogue of which nothing is scored is none for anybody.
        if any(line.label is not None for line in kept):
            found.conversations.append(Conversation(dialogue, "iemocap", split, numbered(kept)))
    found.conversations.sort(key=lambda c: (("train", "validation", "test").index(c.split), c.dialogue_id))
    missing = Counter(c.split for c in found.conversations)
    found.absent.update({s: f"{root}: the dialogues of that side" for s in options.splits if not missing[s]})
    check_some(found.conversations, {}, root, "IEMOCAP's Session1/dialog/transcriptions and Session1/dialog/EmoEvaluation, at any depth")
    check_bad(found.bad, len(evaluations) + len(odd), options, root)
    if without:
        found.notes.append(f"{without} transcribed lines have no evaluation and are left out")
    if not is_made(root):
        found.deviations.extend(count_deviations(card, found.counts()))
    return found


def side_of(dialogue: str) -> str:
    """The split of a dialogue, such as `Ses05F_impro01`."""
    if dialogue in VALIDATION:
        return "validation"
    return "test" if int(dialogue[3:5]) == TEST_SESSION else "train"


def write_example(folder: Path) -> None:
    """Three short conversations, one a side, in the true layout."""
    scenes = {
        "Ses01F_impro01": (("F000", "neu", "Excuse me."), ("M000", "xxx", "Do you have your forms?"), ("F001", "fru", "Which forms?")),
        "Ses01M_impro01": (("M000", "ang", "This is the third queue."), ("F000", "neu", "Next, please.")),
        "Ses05F_impro07": (("F000", "exc", "I got in!"), ("M000", "hap", "That is wonderful.")),
    }
    for dialogue, said in scenes.items():
        evaluations, transcription = [HEADER, ""], []
        for turn, (number, code, text) in enumerate(said):
            utterance, start_s, end_s = f"{dialogue}_{number}", turn + 0.25, turn + 0.75
            evaluations += [f"[{start_s:.4f} - {end_s:.4f}]\t{utterance}\t{code}\t[2.5000, 2.5000, 3.0000]", "C-E1:\tOther;\t()", ""]
            transcription.append(f"{utterance} [{start_s:08.4f}-{end_s:08.4f}]: {text}")
        # A voice without a name and a line that nobody evaluated, as the corpus has them.
        transcription += ["M: (laughter)", f"{dialogue}_MXX0 [009.0000-009.5000]: Hm."]
        for kind, lines in (("EmoEvaluation", evaluations), ("transcriptions", transcription)):
            place = folder / f"Session{int(dialogue[3:5])}" / "dialog" / kind
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{dialogue}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _transcriptions(root: str, evaluations: Mapping[str, Evaluation]) -> tuple[dict[str, str], dict[str, tuple[str, int]], int]:
    """Words of each line; file and number of the line; and how many transcribed lines nobody evaluated."""
    words: dict[str, str] = {}
    where: dict[str, tuple[str, int]] = {}
    without = 0
    for path in tables(root, "transcriptions"):
        # Bytes that are not UTF-8 become lone surrogates, which `_line` tells.
        text = storage.read_bytes(path).decode("utf-8-sig", errors="surrogateescape")
        for number, line in enumerate(text.splitlines(), 1):
            match = _WORDS.fullmatch(line.strip())
            if match is None:
                continue
            if match[1] in evaluations:
                words.setdefault(match[1], match[2])
                where.setdefault(match[1], (path, number))
            elif parse_name(match[1]) or match[1].startswith("Ses"):
                without += 1
    return words, where, without


def _line(evaluation: Evaluation, words: Mapping[str, str], where: Mapping[str, tuple[str, int]], bad: list[BadRow]) -> Line | None:
    """The line of an evaluation; None, with the reason in `bad`, when it has no words or a code that is unknown."""
    name = evaluation.utterance
    card = read_conversation_card("iemocap")
    if name not in words:
        bad.append(BadRow(f"EmoEvaluation/{evaluation.name.dialogue}.txt", 0, "no_text", f"{name} has no line in the transcriptions"))
        return None
    text, (path, number) = clean(words[name]), where[name]
    if any("\udc80" <= c <= "\udcff" for c in text):
        bad.append(BadRow(path, number, "encoding", f"{name}: bytes that are not UTF-8"))
        return None
    if not text:
        bad.append(BadRow(path, number, "empty", f"{name}: an empty line, wanted what is said"))
        return None
    label = card.label_map.get(evaluation.emotion)
    if label is None and evaluation.emotion not in card.context_labels:
        wanted = ", ".join((*card.label_map, *card.context_labels))
        bad.append(BadRow(path, number, "unknown_label", f"{name} is evaluated as {evaluation.emotion!r}, wanted one of {wanted}"))
    return Line(0, name, SPEAKERS[evaluation.name.speaker], text, label)
