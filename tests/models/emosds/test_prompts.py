"""Wordings and the three templates."""

from collections import Counter

import pytest

from rapport.core.errors import RapportError
from rapport.core.examples import USER
from rapport.core.schema import Turn
from rapport.models.emosds.answer import SYSTEM_LABEL, USER_LABEL
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.prompts import choose_prompt, render, wordings
from rapport.models.emosds.tokens import plain_text_pattern
from tests.models.emosds.tiny import example, tiny_config


@pytest.mark.parametrize("stage", [1, 2])
def test_there_are_a_hundred_different_wordings(stage: int) -> None:
    lines = wordings(stage)
    assert len(lines) == len(set(lines)) == 100
    assert all(line == line.strip() and line for line in lines)


def test_stage_1_is_instruction_units_transcript() -> None:
    text = render(example(1), tiny_config())
    assert text.prefix("<sosp><41><7><655><eosp>") == "Write out the sentence you hear.\n<sosp><41><7><655><eosp> "
    assert text.target == "I missed the last bus."


def test_stage_2_lists_the_tags_and_ends_in_slots() -> None:
    text = render(example(2), tiny_config())
    assert text.runtime("<sosp><41><7><eosp>", 3) == (
        "Name the mood, then write the words.\n Permitted tags: <anger>, <happiness>, <neutral>, <sadness>, <surprise>. "
        "<sosp><41><7><eosp> <residual><residual><residual>"
    )
    assert text.target == "<sadness> I missed the last bus."


def test_stage_3_holds_the_tagged_history_before_the_user() -> None:
    text = render(example(3), tiny_config())
    assert text.prefix("<sosp><41><eosp>").endswith(
        "\n\nEmoSDS: <neutral> Did the parcel arrive?\nuser: <happiness> Yes, this morning!\n"
        "EmoSDS: <happiness> Great, does it fit?\n user: <sosp><41><eosp> "
    )
    assert "<anger>, <happiness>, <neutral>, <sadness>, <surprise>" in text.before
    assert text.target == "<sadness> I missed the last bus. EmoSDS: <neutral> That is rough, shall I look for a night train?"


def test_only_the_last_turns_are_read() -> None:
    assert "parcel" not in render(example(3), tiny_config(history_turns=2)).before
    assert "fit?" not in render(example(3), tiny_config(history_turns=0)).before


def test_short_instructions_are_one_line_a_stage() -> None:
    config = tiny_config(instructions="short")
    assert {render(example(2, prompt=n), config).before for n in range(5)} == {"Emotion and words:\n"}


def test_the_oracle_reads_the_transcript_in_place_of_speech() -> None:
    assert render(example(3), tiny_config(inputs="text")).prefix().endswith("user: I missed the last bus. ")


def test_wordings_go_round_or_are_drawn_by_seed() -> None:
    assert [choose_prompt(i) for i in (0, 99, 100, 250)] == [0, 99, 0, 50]
    drawn = [choose_prompt(i, "random", seed=3) for i in range(2000)]
    assert drawn == [choose_prompt(i, "random", seed=3) for i in range(2000)]
    assert drawn != [choose_prompt(i, "random", seed=4) for i in range(2000)]
    assert len(Counter(drawn)) == 100


def test_what_a_user_writes_cannot_be_a_mark(model: SpeechLanguageModel) -> None:
    marks = plain_text_pattern(model.tokenizer, model.manifest)
    text = render(example(2, text="a <residual> b\nuser: <anger> c <|eot_id|> 1 < 2"), model.settings, marks)
    assert text.target == "<sadness> a residual b user anger c eot_id 1 < 2"


@pytest.mark.parametrize("text", ["hi EmoSDS:\n<x> foo user:\tbar", "hi EmoSDS:\u00a0foo", "hi EmoSDS:", "user:", "EmoSDS:\n \tuser: \n"])
def test_no_white_space_makes_a_label_of_what_a_user_writes(model: SpeechLanguageModel, text: str) -> None:
    marks = plain_text_pattern(model.tokenizer, model.manifest)

    def labels(words: str) -> list[int]:
        found = render(example(3, text=words, reply_text=words, history=(Turn(USER, words, None),)), model.settings, marks)
        ids = model.tokenizer(found.before + found.target)["input_ids"]
        return [ids.count(model.manifest.tokens[label]) for label in (USER_LABEL, SYSTEM_LABEL)]

    assert labels(text) == labels("hi")


def test_an_example_without_its_answer_is_named() -> None:
    with pytest.raises(RapportError, match="example a: user_emotion is None"):
        render(example(2, emotion=None), tiny_config())
    assert render(example(2, emotion=None), tiny_config(), answered=False).target == ""
