"""Dialogues are read line by line, and every line that cannot be used is named."""

import json
import re

import pytest

from rapport.core.errors import RapportError
from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Turn
from rapport.datasets.dialogues import emosc

RECORD = {
    "history_turns": ["B: <neutral> Is the cake ready?", "A: <happiness> Nearly!", "B: <happiness> Smells good."],
    "current_turn1": "A: <surprise> It fell on the floor.",
    "current_turn2": "A: <anger> It fell on the floor.",
    "response_turn1": "B: <sadness> Oh no, all of it?",
    "response_turn2": "B: <neutral> Let me help you clean up.",
}


def read(tmp_path, *lines, **options):
    path = tmp_path / emosc.FILE
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines))
    return emosc.read_dialogues(path, **options)


def test_a_line_becomes_a_history_and_two_variants(tmp_path):
    (scenario,) = read(tmp_path, RECORD).scenarios
    assert scenario.history[0] == Turn(ASSISTANT, "Is the cake ready?", "neutral")
    assert [t.speaker for t in scenario.history] == [ASSISTANT, USER, ASSISTANT]
    assert [(t.speaker, t.emotion) for t in scenario.current] == [(USER, "surprised"), (USER, "angry")]
    assert scenario.reply[1] == Turn(ASSISTANT, "Let me help you clean up.", "neutral")
    dialogue = scenario.dialogue(1)
    assert dialogue.dialogue_id == "0_1"
    assert [t.text for t in dialogue.turns][2:] == ["Smells good.", "It fell on the floor.", "Let me help you clean up."]


@pytest.mark.parametrize(
    ("line", "reason", "told"),
    [
        ("", "empty", "an empty line"),
        ('{"history_turns": [', "json", "no JSON"),
        ("[1]", "keys", "missing all"),
        ({k: v for k, v in RECORD.items() if k != "current_turn2"}, "keys", "missing current_turn2"),
        (RECORD | {"history_turns": RECORD["history_turns"][:2]}, "form", "wants three turns, has 2"),
        (RECORD | {"history_turns": "B: <neutral> Hi."}, "form", "has str"),
        (RECORD | {"response_turn1": "B: Oh no."}, "form", "response_turn1 is 'B: Oh no.'"),
        (RECORD | {"response_turn1": "B: <neutral>  "}, "form", "wanted such as"),
        (RECORD | {"response_turn1": None}, "form", "response_turn1"),
        (RECORD | {"response_turn2": "A: <neutral> I clean up."}, "speakers", "response_turn2 is by A, wanted B"),
        (RECORD | {"current_turn2": "A: <happy> It fell on the floor."}, "tag", "the tag <happy>, wanted one of anger, .*happiness"),
        (RECORD | {"current_turn2": "A: <anger> It fell on the street."}, "words", "differ in words"),
        (RECORD | {"current_turn2": "A: <surprise> It fell on the floor."}, "emotions", "both current turns are surprised"),
        (RECORD | {"response_turn1": "B: <sadness> Oh нет, all of it?"}, "letters", "a letter of another script"),
    ],
)
def test_a_bad_line_is_named_with_its_reason_and_the_others_keep_their_numbers(tmp_path, line, reason, told):
    found = read(tmp_path, RECORD, line, RECORD)
    assert [s.id for s in found.scenarios] == [0, 2]
    (bad,) = found.bad
    assert (bad.line, bad.reason) == (1, reason)
    assert re.search(told, bad.message)
    assert "line 2" in bad.message


def test_the_faithful_form_keeps_what_the_published_build_kept(tmp_path):
    odd = [RECORD | {"current_turn2": "A: <anger> It fell."}, RECORD | {"response_turn1": "B: <sadness> Да?"}]
    assert len(read(tmp_path, RECORD, *odd).scenarios) == 1
    assert len(read(tmp_path, RECORD, *odd, faithful=True).scenarios) == 3


def test_a_file_without_any_dialogue_is_an_error_that_tells_the_first_fault(tmp_path):
    with pytest.raises(RapportError, match=r"holds no dialogue; .*line 1: no JSON"):
        read(tmp_path, "nonsense")
    with pytest.raises(RapportError, match="does not exist"):
        emosc.read_dialogues(tmp_path / "none.jsonl")


def test_what_is_written_is_read_again(tmp_path):
    first = read(tmp_path, RECORD | {"response_turn1": "B: <sadness> Zoë\u2028said: no."}, RECORD).scenarios
    emosc.write_dialogues(tmp_path / "again.jsonl", first)
    assert emosc.read_dialogues(tmp_path / "again.jsonl").scenarios == first
    assert "Zoë" in (tmp_path / "again.jsonl").read_text()
    assert json.loads((tmp_path / "again.jsonl").read_text().split("\n")[1]) == RECORD


def test_the_sentence_key_drops_punctuation_accents_and_case_unless_it_is_kept():
    assert emosc.sentence_key("  Zoë’s  café, isn't it? ") == "zoes cafe isnt it"
    assert emosc.sentence_key("It Fell", keep_case=True) == "It Fell"


def test_balance_counts_emotions_and_what_answers_what(tmp_path):
    counts = emosc.balance(read(tmp_path, RECORD, RECORD).scenarios)
    assert counts["scenarios"] == 2
    assert counts["sentences"] == 1
    assert counts["turns"]["history"] == {"happy": 4, "neutral": 2}
    assert counts["turns"]["current_2"] == {"angry": 2}
    assert counts["reply_of"] == {"angry": {"neutral": 2}, "surprised": {"sad": 2}}
