"""Which lines are asked about, on which side, and how seeds leave the pool."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from rapport.core.conversations import LABELS, TASKS, Clues, Conversation
from rapport.core.errors import RapportError
from rapport.models.erc.build import Built, build_examples, choose_seed_lines
from rapport.models.erc.config import ExampleConfig, PromptConfig
from rapport.models.erc.templates import line_key
from tests.models.erc.talk import CLUES, MELD, count_words, talk

ONE_OF_EACH = [("A" if k % 2 else "B", f"This is line number {k}.", label) for k, label in enumerate(MELD)]


def _build(*conversations: Conversation, **options: Any) -> Built:
    return build_examples(conversations or [talk()], CLUES, PromptConfig(), MELD, **options)


def _turns(built: Built, task: str, side: str = "train") -> list[int]:
    return [line_key(example.example_id).turn for example in built.examples[task][side]]


def test_parts_are_asked_for_lines_with_some_words_that_follow_another() -> None:
    built = _build()
    assert _turns(built, "role_play") == [1, 2, 4]
    assert built.skipped["role_play"] == {"no_history": 1, "few_words": 1}
    assert _turns(_build(rules=ExampleConfig(min_previous=0, min_words=1)), "role_play") == [0, 1, 2, 3, 4]


def test_speakers_are_asked_for_where_there_are_two_or_more() -> None:
    assert _turns(_build(), "speaker") == [0, 1, 2, 3, 4]
    alone = _build(talk([("A", "One.", "sad"), ("A", "Two.", "sad")]))
    assert _turns(alone, "speaker") == []
    assert alone.skipped["speaker"] == {"alone": 2}


def test_lines_that_are_only_context_are_shown_and_not_asked_about() -> None:
    mixed = talk([("A", "Words of context here.", None), ("B", "A line with a label.", "sad"), ("A", "Words of context again.", None)])
    built = _build(mixed)
    assert all(_turns(built, task) == [1] for task in TASKS)
    assert "Words of context here." in built.examples["erc"]["train"][0].input
    assert _turns(_build(mixed, rules=ExampleConfig(context_lines=True)), "role_play") == [1, 2]
    assert _turns(_build(mixed, rules=ExampleConfig(context_lines=True)), "erc") == [1]


def test_the_test_side_is_asked_for_labels_alone_and_sides_do_not_mix() -> None:
    built = _build(talk(), talk(split="validation"), talk(split="test"))
    assert built.counts() == {
        "role_play": {"train": 3, "validation": 3},
        "speaker": {"train": 5, "validation": 5},
        "steer": {"train": 5, "validation": 5, "test": 5},
        "erc": {"train": 5, "validation": 5, "test": 5},
    }
    for sides in built.examples.values():
        for side, examples in sides.items():
            assert {line_key(example.example_id).split for example in examples} == {side}


def test_seeds_are_examples_with_reasons_and_not_in_the_pool() -> None:
    seeds = {f"meld/train/d1/{turn}": f"It is said loudly, line {turn}." for turn in range(7)}
    extra = talk(ONE_OF_EACH, dialogue_id="d2")
    built = _build(talk(ONE_OF_EACH), extra, seeds=seeds)
    assert [line_key(example.example_id).turn for example in built.seeds] == list(range(7))
    assert built.seeds[2].target == "It is said loudly, line 2.\n<fear>"
    pool = {line_key(example.example_id) for example in built.examples["steer"]["train"]}
    assert not pool & {line_key(example.example_id) for example in built.seeds}
    assert len(pool) == 7
    assert len(built.examples["erc"]["train"]) == 14
    by_id = _build(talk(ONE_OF_EACH), extra, seeds={f"{name}/steer": text for name, text in seeds.items()})
    assert by_id.seeds == built.seeds


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({"meld/test/d1/0": "x"}, "seeds are lines of train"),
        ({"meld/train/d9/0": "x"}, "no labelled line of train"),
        ({"meld/train/d1/0": "  "}, "no reasons"),
        ({"meld/train/d1/0": "So it is. <fear>"}, "give <fear>, wanted <neutral>"),
        ({"meld/train/d1/0": "So it is."}, "no seed has the label surprise, fear"),
        ({"meld/train/d1/0": "so " * 2000}, "max_tokens is 1400"),
    ],
)
def test_seeds_that_would_teach_wrongly_are_refused(seeds: dict[str, str], message: str) -> None:
    with pytest.raises(RapportError, match=message):
        _build(talk(ONE_OF_EACH), talk(split="test"), seeds=seeds, count=count_words)


def test_seed_lines_cover_every_label_and_prefer_lines_to_reason_about() -> None:
    many = [talk(ONE_OF_EACH * 3, dialogue_id=f"d{k}") for k in range(4)] + [talk(ONE_OF_EACH, split="test", dialogue_id="t")]
    chosen = choose_seed_lines(many, MELD, seed=1)
    labels = {c.dialogue_id: c for c in many}
    assert len(set(chosen)) == 10
    assert {labels[key.dialogue_id].lines[key.turn].label for key in chosen} == set(MELD)
    assert {key.split for key in chosen} == {"train"}
    assert all(key.turn >= 2 for key in chosen)
    assert chosen == choose_seed_lines(many, MELD, seed=1)
    assert chosen != choose_seed_lines(many, MELD, seed=2)
    with pytest.raises(RapportError, match="3 seeds cannot cover 7"):
        choose_seed_lines(many, MELD, 3)
    with pytest.raises(RapportError, match="no line of train has the label neutral"):
        choose_seed_lines([many[-1]], MELD)


def test_conversations_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(RapportError, match="two conversations are called meld/train/d1"):
        _build(talk(), talk())
    with pytest.raises(RapportError, match="each corpus apart"):
        _build(talk(), talk(corpus="other"))
    with pytest.raises(RapportError, match="split is 'dev'"):
        _build(talk(split="dev"))


def test_what_was_cut_is_counted() -> None:
    built = build_examples([talk()], CLUES, PromptConfig(max_tokens=90, answer_tokens=10), MELD, tasks=("erc",), count=count_words)
    assert built.cut()["history_turns"] > 0
    assert _build().cut() == {}


def _meld(path: Path, split: str) -> list[Conversation]:
    names = {"joy": "joyful", "sadness": "sad", "anger": "angry"}
    said: dict[str, list[tuple[str, str, str | None]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said[row["Dialogue_ID"]].append((row["Speaker"], row["Utterance"], names.get(row["Emotion"], row["Emotion"])))
    return [talk(lines, split=split, dialogue_id=name) for name, lines in said.items()]


def test_every_line_of_meld_is_asked_about_and_fits(shared_data: Path) -> None:
    path = shared_data / "meld" / "dev_sent_emo.csv"
    if not path.is_file():
        pytest.skip(f"no MELD at {path.parent}")
    built = build_examples(_meld(path, "validation"), Clues(), PromptConfig(), LABELS["meld"], count=count_words)
    examples = built.examples["erc"]["validation"]
    assert len(examples) == 1109
    ids = [example.example_id for sides in built.examples.values() for found in sides.values() for example in found]
    assert len(ids) == len(set(ids))
    assert built.cut() == {}
    assert all(example.gold in example.labels for example in built.examples["speaker"]["validation"])
    assert len(built.examples["role_play"]["validation"]) + sum(built.skipped["role_play"].values()) == 1109
