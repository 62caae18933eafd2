from collections import Counter
from dataclasses import replace

import pytest

from rapport.core.errors import RapportError
from rapport.core.examples import USER, Example, Stage
from rapport.core.schema import Turn
from rapport.datasets.emosds import build
from tests.toy_emosds import EMOTIONS, esd_rows, librispeech_rows, scenarios


def test_stage_1_is_written_as_librispeech_is():
    rows = librispeech_rows(speakers=1, sentences=3, shared=1)
    assert [e.text for e in build.asr_examples(rows)] == [
        "we've seen the boat zero zero zero",
        "speaker a said j it's",
        "speaker a said k it's",
    ]
    assert build.asr_examples(rows, plain=False)[0].text == "We've seen the boat zero zero zero."
    assert build.asr_text("  “Well—no,” she said… ") == "well no she said"


def test_stage_2_keeps_case_and_only_known_emotions():
    rows = esd_rows(1, 1)
    found = build.emotion_examples(rows, ("angry", "sad"))
    assert [(e.example_id, e.text, e.emotion) for e in found] == [
        ("2/esd/0000_angry_000", "We've seen the boat zero zero zero.", "angry"),
        ("2/esd/0000_sad_000", "We've seen the boat zero zero zero.", "sad"),
    ]


def test_stage_3_has_every_speaker_who_said_it_so():
    found, skipped = build.dialogue_examples(esd_rows(3, 2), scenarios(2), EMOTIONS)
    assert Counter(e.dialogue_id for e in found) == {"0_0": 3, "0_1": 3, "1_0": 3, "1_1": 3}
    assert not skipped
    first = found[0]
    assert first.example_id == "3/0_0/esd/0000_angry_000"
    assert (first.emotion, first.reply_emotion, first.reply_text) == ("angry", "neutral", "How so?")
    assert [turn.speaker for turn in first.history] == ["assistant", "user", "assistant"]
    pair = [e for e in found if e.speaker_id == "esd/0000" and e.dialogue_id in ("0_0", "0_1")]
    assert pair[0].text == pair[1].text
    assert pair[0].history == pair[1].history
    assert pair[0].emotion != pair[1].emotion


def test_dialogues_that_cannot_be_heard_are_counted():
    absent = replace(scenarios(1)[0], id=7, current=(Turn(USER, "Nobody says this.", "sad"), Turn(USER, "Nobody says this.", "happy")))
    found, skipped = build.dialogue_examples(esd_rows(1, 2, ("angry",)), [*scenarios(2), absent], EMOTIONS)
    assert [e.dialogue_id for e in found] == ["0_0"]
    assert skipped == {"scenarios whose words nobody says": 1, "variants that nobody says with that emotion": 3}
    _, skipped = build.dialogue_examples(esd_rows(1, 2), scenarios(2), ("angry", "happy"))
    assert skipped["variants of another emotion"] == 4


def test_sentences_are_found_whatever_their_case_unless_as_published():
    rows = [replace(row, text=(row.text or "").upper()) for row in esd_rows(1, 1)]
    assert build.dialogue_examples(rows, scenarios(1), EMOTIONS)[0]
    assert not build.dialogue_examples(rows, scenarios(1), EMOTIONS, keep_case=True)[0]


def test_rows_that_lack_something_are_counted():
    rows = esd_rows(1, 2, ("sad",))
    odd = [replace(rows[0], text=" "), replace(rows[0], split="left_out"), replace(rows[0], split=None), *rows]
    kept, left_out = build.usable(odd, units={rows[0].utterance_id})
    assert kept == rows[:1]
    assert left_out == {"no text": 1, "speaker and sentence on different sides": 1, "no side": 1, "no units": 1}


def test_corpora_of_few_sentences_are_fixed():
    rows = [*esd_rows(2, 30), *[replace(row, corpus="digits") for row in esd_rows(2, 10)]]
    assert build.fixed_corpora(rows, 20) == {"digits"}


def test_prompts_go_round_within_a_stage_and_side():
    rows = esd_rows(10, 3, ("sad",))
    found = build.with_prompts(build.emotion_examples(rows, EMOTIONS), lambda i: i % 5)
    assert [e.prompt for e in found if e.split == "train"][:6] == [0, 1, 2, 3, 4, 0]
    assert [e.prompt for e in found if e.split == "test"] == [0, 1, 2]


def test_limits_and_published_sides_are_applied_by_stage():
    stages: dict[Stage, list[Example]] = {1: build.asr_examples(librispeech_rows()), 2: build.emotion_examples(esd_rows(), EMOTIONS)}
    limits = build.LimitsConfig(asr_rows=10, per_emotion=3, held_out=2)
    counts = Counter((e.stage, e.split) for e in build.place(stages, EMOTIONS, build.SidesConfig(), limits))
    assert counts[1, "train"] == 10
    assert counts[2, "train"] == 15
    assert counts[2, "test"] == 10
    published = build.SidesConfig(method="upstream")
    counts = Counter((e.stage, e.split) for e in build.place(stages, EMOTIONS, published, build.LimitsConfig()))
    assert counts[2, "train"] == 17_300
    assert (1, "test") not in counts


def test_a_stage_without_training_examples_is_refused():
    rows = [row.with_split("test") for row in esd_rows(1, 2)]
    with pytest.raises(RapportError, match=r"stage 2 has 10 examples and none to train on"):
        build.place({2: build.emotion_examples(rows, EMOTIONS)}, EMOTIONS, build.SidesConfig(), build.LimitsConfig())
