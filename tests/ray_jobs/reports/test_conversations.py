"""The page and the card of an evaluation of emotions in conversations."""

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import yaml

from rapport.datasets.conversations.card import read_conversation_card
from rapport.ray_jobs.coe_evaluation.asking import Answer
from rapport.ray_jobs.reports.conversations import conversations_page, p_value, verdict
from rapport.ray_jobs.reports.conversations_card import conversations_card
from rapport.training.label_metrics import LabelTally, Question

LABELS = ("Joyful", "Mad", "Neutral")
ASKED = [Question(f"{n}", f"{n % 8}", LABELS[n % 3]) for n in range(48)]


def tally(right: float, *seeds: int) -> LabelTally:
    runs = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        others = (*LABELS, "invalid")
        runs.append({q.name: q.gold if random.random() < right else others[int(random.integers(4))] for q in ASKED})
    return LabelTally(LABELS, ASKED, runs)


def system(found: LabelTally, kind: str, what: str, mapped: dict[str, int]) -> dict[str, Any]:
    extra = {"kind": kind, "what": what, "model": f"/models/{what}", "mapped": mapped, "calibration": None, "tasks": {}, "seconds": 1.0}
    return {**found.report(resamples=100), **extra}


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value * 0.9, "high": value * 1.1}


@pytest.fixture
def metrics() -> dict[str, Any]:
    full, plain, floor = tally(0.9, 1), tally(0.5, 3), tally(0.0, 5)
    systems = {
        "full": system(full, "model", "full_curriculum", {"bracket": 40, "invalid": 8}),
        "plain": system(plain, "model", "custom", {"word": 48}),
        "majority": system(floor, "baseline", "always the commonest", {"learned": 48}),
    }
    systems["full"]["tasks"] = {
        "speaker": {"count": 30, "chance": 0.4, "figures": {"exact": figure(0.8)}},
        "role_play": {"count": 25, "figures": {"perplexity": figure(21.5), "bleu": figure(4.2)}},
    }
    about = {
        "first": "full",
        "systems": list(systems),
        "groups": ["full+plain"],
        "data": "/data",
        "data_name": "<friends>",
        "corpus": "emorynlp",
        "made": False,
        "labels": list(LABELS),
        "side": "test",
        "method": "reason",
        "mapping": "strict",
        "lines": 48,
        "dialogues": 8,
        "golds": dict.fromkeys(LABELS, 16),
        "times_on_test": {"full": 3, "plain": 1},
        "seed": 0,
        "revision": "abc",
        "notes": ["Counts differ."],
        "warnings": ["full was trained on <these> lines"],
    }
    return {
        "about": about,
        "systems": systems,
        "differences": {"plain": full.minus(plain, resamples=100), "majority": full.minus(floor, resamples=100)},
        "groups": {"full+plain": {"members": ["full", "plain"], **tally(0.7, 1, 2).report(resamples=100)}},
        "group_differences": {},
        "validation": {"count": 40, "figures": {"weighted_f1": figure(0.95)}},
    }


def shown() -> list[dict[str, Any]]:
    lines = [{"speaker": "Ross", "text": "Hi."}, {"speaker": "Monica", "text": "It is <mine>!"}]
    answers = {
        "full": Answer("x", "Mad", "bracket", text="She shouts.\n<Mad>", rationale="She shouts."),
        "plain": Answer("x", "Joyful", "likeliest", {"Joyful": 0.7, "Mad": 0.3}),
        "majority": Answer("x", "Neutral", "learned"),
    }
    return [{"example_id": "emorynlp/test/s1/1/steer", "gold": "Mad", "prompt": "DIALOGUE: ...", "lines": lines, "answers": answers}]


class Balance(HTMLParser):
    """Elements that are opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_tells_figures_differences_groups_and_lines(metrics) -> None:
    page = conversations_page(metrics, shown())
    for text in (
        "full on &lt;friends&gt;",
        "full was trained on &lt;these&gt; lines",
        "full 3 times, plain once",
        "is soon chosen by",
        "Validation less test",
        "better than plain and majority",
        "mean F1 of the labels",
        "Several seeds",
        "McNemar",
        "Speaker named",
        "80.0 %",
        "21.5",
        "the last label between angle brackets",
        "It is &lt;mine&gt;!",
        "She shouts.",
        "70 %, right label 30 %",
        "With so few dialogues",
    ):
        assert text in page, text
    balance = Balance()
    balance.feed(page)
    assert balance.open == []


def test_invalid_answers_have_a_column_only_where_there_are_some(metrics) -> None:
    assert ">Invalid<" in conversations_page(metrics, [])
    for found in metrics["systems"].values():
        found["figures"]["invalid"]["value"] = 0.0
    assert ">Invalid<" not in conversations_page(metrics, [])


def test_a_verdict_is_given_only_where_the_range_is_on_one_side_of_zero() -> None:
    ranges = {"a": (0.1, 0.2), "b": (-0.2, -0.1), "c": (-0.1, 0.1), "d": (None, None)}
    found = verdict({name: {"weighted_f1": {"value": 0.0, "low": low, "high": high}} for name, (low, high) in ranges.items()})
    assert found == {"better": ["a"], "worse": ["b"], "open": ["c", "d"]}
    assert (p_value(0.00001), p_value(0.25), p_value(None)) == ("< 0.001", "0.250", "–")


def test_the_card_has_front_matter_figures_and_where_the_data_came_from(metrics) -> None:
    data = [{"name": "friends", "corpus": "emorynlp", "made": False}, {"name": "mine", "corpus": "own", "made": False}]
    saved = {"model": {"base": "mistralai/Mistral-7B-v0.1"}, "facts": {"strategy": "mixed", "seed": 4, "data": data}}
    card = conversations_card("full", saved, metrics)
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == "mistralai/Mistral-7B-v0.1"
    assert front["datasets"] == ["friends", "mine"]
    assert {found["name"] for found in front["model-index"][0]["results"][0]["metrics"]} == {"weighted F1", "macro-F1", "accuracy"}
    assert "measured on a test side 3 times. On validation, by which they were chosen, weighted F1 is 95.0 %." in card
    assert "better than plain, majority; worse than none" in card
    assert read_conversation_card("emorynlp").title in card
    assert "licence unknown" in card
    assert "| seed | 4 |" in card
    assert "It is not recorded" in conversations_card("full", {"model": {"base": "/a/folder"}}, metrics)
