"""IEMOCAP's two kinds of text files become conversations on the published sides."""

from pathlib import Path

import pytest

from rapport.datasets.conversations.card import count_deviations, read_conversation_card
from rapport.datasets.conversations.corpora.iemocap import VALIDATION, Options, read, side_of, write_example


@pytest.fixture
def example(tmp_path: Path) -> Path:
    write_example(tmp_path)
    return tmp_path


def test_lines_outside_the_six_emotions_are_left_out_or_kept_as_context(example: Path) -> None:
    scored = read(str(example)).of("train")[0].lines
    assert [(x.text, x.label) for x in scored] == [("Excuse me.", "neutral"), ("Which forms?", "frustrated")]
    every = read(str(example), Options(history="all_turns")).of("train")[0].lines
    assert [x.label for x in every] == ["neutral", None, "frustrated"]
    assert [x.turn for x in every] == [0, 1, 2]


def test_the_speaker_is_told_by_the_line_and_not_by_the_dialogue(example: Path) -> None:
    (dialogue,) = read(str(example)).of("validation")
    assert dialogue.dialogue_id == "Ses01M_impro01"
    assert [x.speaker for x in dialogue.lines] == ["Speaker M", "Speaker F"]


def test_sides_are_those_of_published_work() -> None:
    assert len(VALIDATION) == 12
    assert not any(name.startswith("Ses05") for name in VALIDATION)
    assert {side_of("Ses05M_script03_2"), side_of("Ses03M_impro08a"), side_of("Ses01F_impro01")} == {"test", "validation", "train"}


def test_lines_that_nobody_evaluated_are_counted(example: Path) -> None:
    assert read(str(example)).notes == ["3 transcribed lines have no evaluation and are left out"]


def test_lines_are_ordered_by_the_time_at_which_they_begin(example: Path) -> None:
    table = example / "Session5/dialog/EmoEvaluation/Ses05F_impro07.txt"
    table.write_text(table.read_text().replace("[0.2500 - 0.7500]", "[8.2500 - 8.7500]"))
    assert [x.label for x in read(str(example)).of("test")[0].lines] == ["happy", "excited"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("transcriptions:I got in!", " ", "empty"),
        ("EmoEvaluation:\texc\t", "\tbor\t", "unknown_label"),
        ("transcriptions:Ses05F_impro07_F000 ", "Ses05F_impro07_X ", "no_text"),
        ("EmoEvaluation:[0.2500 - 0.7500]", "[0.2500 - ?]", "cells"),
    ],
)
def test_a_broken_line_is_told(example: Path, old: str, new: str, reason: str) -> None:
    folder, _, text = old.partition(":")
    path = example / f"Session5/dialog/{folder}/Ses05F_impro07.txt"
    path.write_text(path.read_text().replace(text, new))
    found = read(str(example), Options(max_bad_fraction=1))
    assert [b.reason for b in found.bad] == [reason]
    assert [x.label for x in found.of("test")[0].lines] == ["happy"]


def test_bytes_that_are_not_utf_8_cost_their_own_line(example: Path) -> None:
    path = example / "Session5/dialog/transcriptions/Ses05F_impro07.txt"
    path.write_bytes(path.read_bytes().replace(b"wonderful", b"wond\xe9rful"))
    (bad,) = read(str(example), Options(max_bad_fraction=1)).bad
    assert (bad.reason, bad.line) == ("encoding", 2)


def test_the_known_shortage_of_happy_lines_is_told_and_not_mended() -> None:
    card = read_conversation_card("iemocap")
    counts = {"test": {"dialogues": 31, "lines": 1611, **card.expected["test"].labels, "happy": 132}}
    told = count_deviations(card, counts)
    assert any(x.startswith("test: 132 happy of 144") and "648" in x and "595" in x for x in told)
    assert sum(side.lines for side in card.expected.values()) == 7433
    assert sum(side.dialogues for side in card.expected.values()) == 151
