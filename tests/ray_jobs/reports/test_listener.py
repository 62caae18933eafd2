"""The page and the card of an evaluation of head motion, from figures made of real sums."""

import copy
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import yaml

from rapport.models.listener.config import ListenerConfig
from rapport.ray_jobs.listener_evaluation.outputs import spread_over
from rapport.ray_jobs.reports.listener import Figure, best, figure_range, figure_value, is_better, listener_page, verdict
from rapport.ray_jobs.reports.listener_card import listener_card
from rapport.ray_jobs.reports.model_card import training_data
from rapport.training.motion_metrics import MotionTally
from rapport.training.motion_pairs import MotionPair
from rapport.training.motion_published import published_scores

RATE_HZ = 30
KINDS = {"mo<del>": "model", "mo<del> (drawn)": "drawn", "mo<del> (hears silence)": "control", "mean pose": "baseline"}


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    tallies = {name: MotionTally(RATE_HZ, ("loudness",)) for name in KINDS}
    pairs: dict[str, list[Any]] = {name: [] for name in KINDS}
    for number in range(8):
        truth = draw.normal(size=(150, 3)).cumsum(0)
        voice = {"loudness": draw.normal(size=150)}
        given = dict(zip(KINDS, (truth + 0.3, truth + draw.normal(size=(150, 3)), 0.1 * truth[::-1], np.zeros((150, 3))), strict=True))
        for name, motion in given.items():
            pair = MotionPair(str(number), f"listener {number % 3}", truth, motion, voice)
            tallies[name].add([pair])
            pairs[name].append((truth, motion))
    first = next(iter(KINDS))
    folds = {"session1": {"listener 0"}, "session2": {"listener 1", "listener 2"}}
    by_fold = {name: {session: tallies[name].figures_of(listeners) for session, listeners in folds.items()} for name in KINDS}
    systems = {
        name: {
            "kind": kind,
            "what": f"what {kind} does",
            "model": f"/models/{kind}" if kind == "model" else None,
            **tallies[name].report(resamples=50),
            "by_seed": [],
            "by_fold": by_fold[name],
            "over_folds": spread_over(list(by_fold[name].values())),
            "over_seeds": {"correlation": {"mean": 0.5, "deviation": 0.123}} if kind == "model" else {},
            "published": dict(published_scores(pairs[name])),
        }
        for name, kind in KINDS.items()
    }
    about = {
        "first": first,
        "systems": list(KINDS),
        "sessions": ["session1", "session2"],
        "turns": 8,
        "seconds": 40.0,
        "listeners": 3,
        "repeats": 2,
        "frame_rate_hz": RATE_HZ,
        "latency_s": 0.04,
        "relative": True,
        "signals": ["loudness"],
        "made": True,
        "held_out": True,
        "data": "/d",
        "seed": 0,
        "revision": "abc",
        "warnings": ["so <so>"],
    }
    recovered = {name: {"value": 0.43, "low": 0.4, "high": 0.47} for name in list(KINDS)[:2]}
    planted = [{"angle": "pitch", "signal": "loudness", "planted_s": 0.4, "truth": recovered[first], "recovered": recovered}]
    differences = {name: tallies[first].minus(tallies[name], resamples=50) for name in list(KINDS)[1:]}
    # As JSON gives it back: by the alphabet.
    return {"about": about, "systems": dict(sorted(systems.items())), "differences": differences, "planted": planted}


class Words(HTMLParser):
    """The text of a page, and its links and sources."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_everything_and_needs_nothing_from_elsewhere(metrics: dict[str, Any]) -> None:
    words = Words(listener_page(metrics, [{"link": "turns/00.html", "title": "Ses01", "what": "3 s, sad"}]))
    text = re.sub(r"\s+", " ", words.text)
    for part in (
        "mo<del> is nearer to the true motion than mo<del> (hears silence) and mean pose (error, offset removed)",
        "mo<del> follows it more closely than",
        "so <so>",
        "3 s, sad",
        "The lags that were planted",
        "0.43 s",
        "0.40 – 0.47",
        "listener 2",
        "In the terms of the published table",
        "what control does",
        "Variance, to the truth's",
        "deviation over folds",
        "0.12",
    ):
        assert part in text, part
    assert words.links == ["turns/00.html"]
    assert "<del>" not in listener_page(metrics, [])


def test_curves_are_drawn_of_what_moves_and_beside_the_truth(metrics: dict[str, Any]) -> None:
    page = listener_page(metrics, [])
    assert page.count("<svg") == 6
    titles = re.findall(r"<polyline[^>]*><title>([^<]*)</title>", page)
    assert titles.count("truth") == 3
    assert titles.count("mo&lt;del&gt;") == 6
    assert "mean pose" not in titles
    points = re.findall(r'<polyline points="([^"]*)"', page)
    assert all("nan" not in p and "inf" not in p for p in points)


def test_a_page_without_groups_planted_lags_and_rivals_is_whole(metrics: dict[str, Any]) -> None:
    alone = copy.deepcopy(metrics)
    first = alone["about"]["first"]
    alone["systems"] = {first: {**alone["systems"][first], "per_group": {}, "by_fold": {}, "over_folds": {}, "over_seeds": {}}}
    alone["about"]["systems"], alone["differences"], alone["planted"] = [first], {}, None
    text = re.sub(r"\s+", " ", Words(listener_page(alone, [])).text)
    assert "was compared with nothing" in text
    assert not [part for part in ("The lags that were planted", "Listener by listener", "less each other", "Fold by fold") if part in text]


def test_better_is_what_the_figure_says() -> None:
    error, fit = Figure("a", "", "", "°", "low"), Figure("b", "", "", "", "high")
    less, more, neither = ({"value": v, "low": v - 0.1, "high": v + 0.1} for v in (-1.0, 1.0, 0.0))
    assert [is_better(error, d) for d in (less, more, neither, None)] == [True, False, None, None]
    assert [is_better(fit, d) for d in (less, more, neither)] == [False, True, None]
    assert is_better(Figure("c", "", "", "", "one"), less) is None


@pytest.mark.parametrize(("kind", "winner"), [("low", "a"), ("high", "c"), ("one", "b"), ("truth", "c"), ("", None)])
def test_the_best_is_nearest_to_what_is_wanted(kind: Any, winner: str | None) -> None:
    values = {"a": -2.0, "b": 1.2, "c": 5.0}
    systems = {name: {"figures": {"x": {"value": value}, "truth_x": {"value": 4.0}}} for name, value in values.items()}
    assert best(systems, Figure("x", "", "", "", kind)) == winner


def test_numbers_have_true_minus_signs_and_no_negative_zero() -> None:
    figure = Figure("x", "", "", "°", "low")
    assert figure_value(figure, {"value": -0.001, "low": None, "high": None}) == "0.00°"
    assert figure_value(figure, {"value": 1.5, "low": 1, "high": 2}, True) == "+1.50°"
    assert figure_range(figure, {"value": 0, "low": -1.25, "high": 2}) == "−1.25 to 2.00"
    assert figure_range(figure, {"value": 0, "low": None, "high": None}) == ""
    assert figure_value(figure, None) == "–"


def test_the_card_has_front_matter_a_table_and_the_limits(metrics: dict[str, Any]) -> None:
    card = listener_card(
        "causal",
        ListenerConfig(),
        metrics,
        trained_on=[training_data("iemocap", [])],
        training={"parameters": "1,234"},
        folds=["fold-session1-seed-0"],
    )
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["datasets"] == ["iemocap"]
    assert {m["type"] for m in front["model-index"][0]["results"][0]["metrics"]} == {"mae", "pearsonr"}
    rows = [line for line in card.splitlines() if line.startswith("| ") and "Correlation at the best lag" in line]
    assert [row.count("|") for row in rows] == [6, 7], "of all systems, and fold by fold"
    for part in (
        "causal/fold-session1-seed-0",
        "**made**",
        "| pitch | loudness | 0.40 s |",
        "so <so>",
        "| parameters | 1,234 |",
        "rest on 3",
        "Variance, to the truth's |",
        "| figure | session1 | session2 | mean | deviation over folds | over seeds |",
    ):
        assert part in card, part
    folds = metrics["systems"]["mo<del>"]["by_fold"].values()
    told = [f"{fold['correlation']:.2f}" for fold in folds] + [f"{np.mean([fold['correlation'] for fold in folds]):.2f}"]
    assert f"| Correlation | {' | '.join(told)} |" in card
    assert verdict(metrics)["offset_removed_mae_deg"]["better"] == ["mo<del> (hears silence)", "mean pose"]
