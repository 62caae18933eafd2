"""Labels read from answers, and which answers are learned from."""

import random
from typing import Any

import pytest

from rapport.core.conversations import LABELS, ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.answers import (
    REASONS,
    Rollout,
    Verdict,
    add_hint,
    find_label,
    fingerprint,
    judge,
    judge_all,
    reasoned,
    with_reasons,
)
from rapport.models.erc.config import AnswerConfig, PromptConfig
from rapport.models.erc.templates import render
from tests.models.erc.talk import CLUES, MELD, count_words, talk

GOOD = "Eli is told to carry a heavy thing all alone and he cries out."


def _example(turn: int = 3) -> ErcExample:
    return render(talk(), turn, "steer", CLUES, PromptConfig(), MELD)


def _judge(text: str, **settings: Any) -> Verdict:
    example = _example()
    options = {key: settings.pop(key) for key in ("hinted", "seen") if key in settings}
    return judge(text, example.gold, example.labels, example.input, AnswerConfig(**settings), count_words, **options)


def test_of_two_bracketed_labels_the_last_counts() -> None:
    assert find_label("It could be <neutral>, yet it is <fear>.", MELD) == "fear"
    assert find_label("It could be <fear>, yet it is <neutral>.", MELD) == "neutral"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("<fear> <nothing>", "fear"),
        ("<<sad>>", "sad"),
        ("a < b <sad>", "sad"),
        ("sad", None),
        ("<Sad>", None),
        ("<sad", None),
        ("< sad >", None),
        ("<sad, fear>", None),
        ("", None),
    ],
)
def test_a_label_is_read_letter_for_letter_between_brackets(text: str, label: str | None) -> None:
    assert find_label(text, MELD) == label


@pytest.mark.parametrize("corpus", LABELS)
def test_reasons_and_label_are_read_back(corpus: str) -> None:
    for label in LABELS[corpus]:
        assert find_label(reasoned("It was <neutral> before.", label), LABELS[corpus]) == label


def test_the_label_is_not_written_twice() -> None:
    assert reasoned("So it is. <sad>", "sad") == reasoned("So it is.", "sad") == "So it is.\n<sad>"


def test_a_right_answer_with_reasons_is_accepted() -> None:
    verdict = _judge(f"{GOOD}\n<fear> and on and on")
    assert (verdict.accepted, verdict.parsed, verdict.reason) == (True, "fear", "")
    assert verdict.text == f"{GOOD}\n<fear>"


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        (f"{GOOD} fear", {}, "no_label"),
        (f"{GOOD} <fear> <sad>", {}, "wrong_label"),
        ("He cries. <fear>", {}, "too_short"),
        ("well " * 256 + "<fear>", {}, "too_long"),
        (f"{GOOD} <fear>", {"max_tokens": 10, "min_tokens": 2}, "too_long"),
        ("Nora: Then you are carrying the sofa alone. Eli: Oh no! <fear>", {}, "copies_prompt"),
        ("PERSONAS: Eli: her easy-going brother. Nora: impatient line cook. <fear>", {}, "copies_prompt"),
        (f"{GOOD} The hint says so. <fear>", {"hinted": True}, "mentions_hint"),
        (f"{GOOD} That is the given label. <fear>", {"hinted": True}, "mentions_hint"),
        (f"{GOOD} <fear>", {"seen": {fingerprint(f"{GOOD.upper()}\n<fear>")}}, "duplicate"),
    ],
)
def test_each_kind_of_bad_answer_is_refused_for_its_reason(text: str, settings: dict[str, Any], reason: str) -> None:
    verdict = _judge(text, **settings)
    assert not verdict.accepted
    assert verdict.reason == reason
    assert reason in REASONS


def test_words_of_the_prompt_may_be_quoted_among_reasons() -> None:
    assert _judge("When Nora says then you are carrying the sofa alone, her brother sees what lies ahead and fears it. <fear>").accepted


def test_a_hint_may_be_named_where_none_was_given() -> None:
    assert _judge(f"{GOOD} He takes the hint. <fear>").accepted


def test_the_bounds_of_length_are_within() -> None:
    assert _judge("one two three four five six seven <fear>").accepted
    assert _judge(" ".join(f"w{k}" for k in range(255)) + " <fear>").accepted


def test_a_hint_stands_in_the_prompt_and_not_in_the_example() -> None:
    example = _example()
    hinted = add_hint(example)
    assert hinted.endswith("\nANSWER:")
    assert "HINT: the emotion is fear." in hinted
    assert hinted.count("ANSWER:") == 1
    assert "HINT" not in example.input
    fenced = render(talk(), 3, "steer", CLUES, PromptConfig(template="instructerc"), MELD)
    assert add_hint(fenced).startswith(fenced.input)
    assert "the emotion is fear." in add_hint(fenced)


def test_reasons_become_what_is_to_be_learned() -> None:
    example = with_reasons(_example(), GOOD)
    assert example.target == f"{GOOD}\n<fear>"
    assert example.input == _example().input
    with pytest.raises(RapportError, match="give <sad>, wanted <fear>"):
        with_reasons(_example(), f"{GOOD} <sad>")


def _round() -> tuple[dict[str, ErcExample], list[Rollout]]:
    conversations = [talk(dialogue_id=f"d{k}") for k in range(8)]
    examples = {
        e.example_id: e for c in conversations for e in (render(c, turn, "steer", CLUES, PromptConfig(), MELD) for turn in range(5))
    }
    draw = random.Random(0)
    texts = [f"{GOOD} {draw.choice('abc')} <{draw.choice([e.gold, 'sad'])}>" for e in examples.values() for _ in range(3)]
    names = [(name, sample) for name in examples for sample in range(3)]
    return examples, [Rollout(name, text, sample) for (name, sample), text in zip(names, texts, strict=True)]


@pytest.mark.parametrize("settings", [{}, {"duplicates": "example"}, {"class_cap": 4}])
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_any_number_of_workers_gives_the_same_accepted_answers(workers: int, settings: dict[str, Any]) -> None:
    examples, rollouts = _round()
    config = AnswerConfig(**settings)
    gathered = [rollout for worker in range(workers) for rollout in rollouts[worker::workers]]
    assert gathered != rollouts
    once = judge_all(rollouts, examples, config, count_words)
    assert judge_all(gathered, examples, config, count_words) == once
    assert any(verdict.accepted for _, verdict in once)


def test_the_same_words_are_accepted_once_of_all_or_once_of_each_example() -> None:
    examples, _ = _round()
    names = [name for name in examples if name.endswith("/3/steer")]
    rollouts = [Rollout(name, f"{GOOD} <fear>", sample) for name in names for sample in (0, 1)]
    for duplicates, accepted in (("any", 1), ("example", len(names))):
        verdicts = judge_all(rollouts, examples, AnswerConfig(duplicates=duplicates), count_words)
        assert sum(v.accepted for _, v in verdicts) == accepted
        assert {v.reason for _, v in verdicts if not v.accepted} == {"duplicate"}
    assert not any(
        v.accepted for _, v in judge_all(rollouts, examples, AnswerConfig(), count_words, memory=[("a/b/c/0/steer", f"{GOOD} <fear>")])
    )
    again = judge_all(rollouts, examples, AnswerConfig(duplicates="example"), count_words, memory=[(names[0], f"{GOOD} <fear>")])
    assert sum(v.accepted for _, v in again) == len(names) - 1


def test_no_more_of_a_label_than_the_cap_are_accepted() -> None:
    examples, rollouts = _round()
    free = judge_all(rollouts, examples, AnswerConfig(duplicates="example"), count_words)
    capped = judge_all(rollouts, examples, AnswerConfig(duplicates="example", class_cap=3), count_words)
    for label in MELD:
        number = sum(v.accepted and v.parsed == label for _, v in free)
        assert sum(v.accepted and v.parsed == label for _, v in capped) == min(3, number)
    assert sum(v.reason == "class_full" for _, v in capped) > 0
    other = judge_all(rollouts, examples, AnswerConfig(duplicates="example", class_cap=3), count_words, seed=1)
    assert [v.accepted for _, v in other] != [v.accepted for _, v in capped]


def test_answers_that_cannot_be_told_apart_are_refused() -> None:
    examples, rollouts = _round()
    with pytest.raises(RapportError, match="numbered 0"):
        judge_all([rollouts[0], rollouts[0]], examples, AnswerConfig(), count_words)
    with pytest.raises(RapportError, match="not among the 40 examples"):
        judge_all([Rollout("a/b/c/0/steer", "")], examples, AnswerConfig(), count_words)


def test_a_bracketed_label_that_somebody_says_changes_no_verdict() -> None:
    example = render(talk([("A", "<joyful> <joyful>", "sad")]), 0, "steer", CLUES, PromptConfig(), MELD)
    verdict = judge(f"{GOOD} <sad>", example.gold, example.labels, example.input, AnswerConfig(), count_words)
    assert verdict.accepted
