"""The page of an evaluated agent, and its pictures."""

import io
import re
from typing import Any

import pytest
from PIL import Image
from pydantic_core import from_json, to_json

from rapport.ray_jobs.agent_evaluation.measure import differences, report
from rapport.ray_jobs.agent_evaluation.speech_scores import WantedWords
from rapport.ray_jobs.reports.agent import FIGURES, agent_page, figure_range, figure_value, verdict
from rapport.ray_jobs.reports.agent_pictures import confusion_picture, returns_picture
from rapport.simulator.task import load_task
from tests.ray_jobs.agent_evaluation.toy import turn

LINKS = {"replay": "replay.html", "confusion": "confusion.png", "returns": "returns.png"}
_RETURN, _SHARE = FIGURES[0], FIGURES[1]


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    """An agent that is worth half, an oracle that is worth all, a silence that is worth nothing."""
    wanted = WantedWords(load_task("cafe"))
    turns = {
        "agent": [turn(episode=f"0-0-{i}-0", reward=i % 2, item_name="green_tea" if i % 2 else "mocha") for i in range(30)],
        "oracle": [turn(episode=f"0-0-{i}-0", reward=1.0) for i in range(30)],
        "silence": [turn(episode=f"0-0-{i}-0", reward=0.0, chosen_name="", item_name="", silent=True, transcript="") for i in range(30)],
    }
    systems = {n: {"kind": "agent", "what": f"is {n}", **report(t, wanted, resamples=200, seed=0)} for n, t in turns.items()}
    about = {
        "agent": "<first>",
        "model": "/models/first",
        "task": "cafe",
        "algorithm": "ppo",
        "turns_of_training": 1000,
        "systems": list(turns),
        "services": {"ears": "pocketsphinx", "judge": "rule", "grammar": True},
        "unseen_items": ["hot_cocoa"],
        "resamples": 200,
        "seed": 0,
        "revision": "abc",
        "warnings": ["beware"],
    }
    found = {
        "about": about,
        "systems": systems,
        "differences": {n: differences(turns["agent"], turns[n], wanted, resamples=200, seed=0) for n in ("oracle", "silence")},
        "unseen": {"seen": {"turns": 0}, "unseen": {"turns": 30, "mean_reward": 0.5, "understood": 0.5}},
        "patterns": {"counts": {"1": 30}, "none": 0, "unseen": [1]},
        "audit": {
            "judge": "second",
            "turns": 30,
            "unanswered": 1,
            **{key: {"share": 0.9, "kappa": None} for key in ("item", "scene", "both")},
            "differing": [
                {
                    "episode": "0-0-0-0",
                    "turn": 1,
                    "scene": "Counter",
                    "offered": ["green_tea"],
                    "heard": "<tea>",
                    "first": {"item": "green_tea", "scene": 1},
                    "second": {"item": "", "scene": 0},
                }
            ],
        },
    }
    plain: dict[str, Any] = from_json(to_json(found, inf_nan_mode="null"))
    return plain


def test_the_page_tells_all_systems_and_escapes_names(metrics: dict[str, Any]) -> None:
    page = agent_page(metrics, LINKS)
    for name in metrics["about"]["systems"]:
        assert f">{name}<" in page
    assert "<first>" not in page
    assert "&lt;first&gt; in cafe" in page
    assert "&lt;tea&gt;" in page
    assert "beware" in page
    assert 'href="replay.html"' in page
    assert not re.findall(r'src="http', page)
    assert "hot cocoa" in page


def test_a_page_without_the_optional_parts(metrics: dict[str, Any]) -> None:
    bare = {**metrics, "differences": {}, "unseen": {}, "audit": None, "patterns": {"counts": {}, "none": 0, "unseen": []}}
    page = agent_page(bare, LINKS | {"replay": None})
    assert "replay.html" not in page
    assert "Do two judges agree" not in page
    assert "was compared with nothing" in page


def test_the_verdict_goes_by_intervals(metrics: dict[str, Any]) -> None:
    assert verdict(metrics) == {"less": ["silence"], "more": ["oracle"], "open": []}
    open_ = {"mean_return": {"value": 0.1, "low": -0.1, "high": 0.3}}
    assert verdict({**metrics, "differences": {"oracle": open_}}) == {"less": [], "more": [], "open": ["oracle"]}


def test_figures_are_told_with_signs_and_ranges() -> None:
    assert figure_value(_RETURN, {"value": -0.5}, plus=True) == "−0.500"
    assert figure_value(_SHARE, {"value": 0.25}, plus=True) == "+25.0 %"
    assert figure_value(_RETURN, {"value": -0.00001}) == "0.000"
    assert figure_value(_RETURN, None) == "–"
    assert figure_range(_SHARE, {"low": 0.1, "high": 0.2}) == "10.0 – 20.0 %"
    assert figure_range(_RETURN, {"low": -0.1, "high": 0.2}) == "−0.100 to 0.200"
    assert figure_range(_RETURN, {"low": 1.0, "high": 1.0}) == ""
    assert figure_range(_RETURN, {"low": None, "high": None}) == ""


def test_pictures_are_drawn_also_of_nothing(metrics: dict[str, Any]) -> None:
    for png in (
        confusion_picture(metrics["systems"]["agent"]["confusion"], "An agent"),
        confusion_picture({"meant": [], "given": [""], "counts": []}),
        returns_picture(metrics["systems"]),
    ):
        with Image.open(io.BytesIO(png)) as image:
            assert image.format == "PNG"
            assert min(image.size) > 50
