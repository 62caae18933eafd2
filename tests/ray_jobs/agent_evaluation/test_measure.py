"""Figures of turns whose every count is known."""

import math

import pytest

from rapport.ray_jobs.agent_evaluation.measure import confusion, differences, episodes_of, report, split
from rapport.ray_jobs.agent_evaluation.speech_scores import WantedWords, patterns_used
from rapport.simulator.task import load_task
from tests.ray_jobs.agent_evaluation.toy import turn


@pytest.fixture(scope="module")
def wanted() -> WantedWords:
    return WantedWords(load_task("cafe"))


def test_speech_is_measured_against_the_nearest_way_to_ask(wanted: WantedWords) -> None:
    assert wanted.nearest("green_tea", "one green tea please") == (1, 0, 4)
    assert wanted.nearest("green_tea", "One green tea, please!") == (1, 0, 4)
    number, wrong, words = wanted.nearest("green_tea", "may i have the green pea")
    assert (number, wrong, words) == (2, 1, 6)
    assert wanted.nearest("green_tea", "")[1] == wanted.nearest("green_tea", "")[2], "every word is missing"
    assert wanted.nearest("apple_pie", "a piece of apple pie please")[:2] == (1, 0), "by the item's own group of patterns"
    assert wanted.pattern("green_tea", "green tree") is None


def test_every_figure_is_the_ratio_that_it_says(wanted: WantedWords) -> None:
    turns = [
        turn(),
        turn(episode="0-0-1-0", item_name="", item_id=-1, transcript="green pea", reward=0.0),
        turn(episode="0-0-2-0", item_name="mocha", transcript="mocha", reward=0.0, best=["mocha"]),
        turn(episode="0-0-3-0", chosen_name="", item_name="", transcript="", silent=True, reward=0.0),
    ]
    found = report(turns, wanted, resamples=200, seed=0)
    values = {name: figure["value"] for name, figure in found["figures"].items()}
    assert values["mean_return"] == pytest.approx(0.5 / 4)
    assert values["success"] == pytest.approx(1 / 4)
    assert values["understood"] == pytest.approx(1 / 3)
    assert values["item_accuracy"] == pytest.approx(1 / 2)
    assert values["choice"] == pytest.approx(2 / 3)
    assert values["exact"] == pytest.approx(1 / 3)
    assert values["wer"] == pytest.approx((0 + 1 + 2) / (4 + 2 + 2))
    assert values["silent"] == pytest.approx(1 / 4)
    assert found["counts"] == {"episodes": 4, "turns": 4, "failed": 0, "clipped_turns": 0, "problems": 0}
    for figure in found["figures"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_returns_are_sums_over_episodes_whatever_the_order_of_turns(wanted: WantedWords) -> None:
    turns = [turn(reward=0.25), turn(episode="0-0-1-0", reward=1.0), turn(turn=2, reward=0.5)]
    figures = report(turns, wanted, resamples=100, seed=0)["figures"]
    assert figures["mean_return"]["value"] == pytest.approx((0.75 + 1.0) / 2)
    assert figures["turns_per_episode"]["value"] == pytest.approx(1.5)


def test_episodes_that_a_service_broke_off_are_left_out_and_counted(wanted: WantedWords) -> None:
    turns = [turn(), turn(episode="0-0-1-0", reward=0.5), turn(episode="0-0-1-0", turn=2, reward=0.0, failed="ears: gone")]
    assert len(episodes_of(turns)) == 1
    found = report(turns, wanted, resamples=100, seed=0)
    assert found["counts"]["failed"] == 1
    assert found["figures"]["mean_return"]["value"] == 0.5


def test_scenes_and_items_have_figures_of_their_own(wanted: WantedWords) -> None:
    turns = [turn(), turn(turn=2, scene_name="Hall", chosen_name="mocha", item_name="", transcript="mocha", reward=0.0)]
    found = report(turns, wanted, resamples=100, seed=0)
    assert list(found["scenes"]) == ["Counter", "Hall"]
    assert found["scenes"]["Hall"]["understood"] == 0
    assert found["items"]["green_tea"]["mean_reward"] == 0.5
    assert "mean_return" not in found["scenes"]["Hall"]


def test_confusion_counts_what_was_given_when_what_was_meant() -> None:
    turns = [turn(), turn(item_name="mocha"), turn(item_name=""), turn(chosen_name="mocha", item_name="mocha"), turn(chosen_name="")]
    assert confusion(turns) == {"meant": ["green_tea", "mocha"], "given": ["green_tea", "mocha", ""], "counts": [[1, 1, 1], [0, 1, 0]]}


def test_differences_are_between_the_same_episodes(wanted: WantedWords) -> None:
    mine = [turn(episode=f"0-0-{i}-0", reward=i + 1.0) for i in range(20)]
    theirs = [turn(episode=f"0-0-{i}-0", reward=float(i)) for i in range(25)]
    found = differences(mine, theirs, wanted, resamples=200, seed=0)["mean_return"]
    assert found == {"value": pytest.approx(1.0), "low": pytest.approx(1.0), "high": pytest.approx(1.0)}
    assert differences(mine, [], wanted, resamples=100, seed=0) == {}


def test_items_that_were_held_out_are_told_apart(wanted: WantedWords) -> None:
    turns = [turn(), turn(chosen_name="mocha", item_name="", transcript="")]
    found = split(turns, ["mocha"], wanted)
    assert (found["seen"]["understood"], found["unseen"]["understood"]) == (1, 0)
    assert split(turns, ["espresso"], wanted)["unseen"] == {"turns": 0}
    assert split(turns, [], wanted) == {}


def test_utterances_are_counted_by_number(wanted: WantedWords) -> None:
    turns = [turn(), turn(transcript="green tea"), turn(transcript="green"), turn(chosen_name="")]
    assert patterns_used(turns, wanted, [3]) == {"counts": {"0": 1, "1": 1}, "none": 1, "unseen": [3]}


def test_a_single_episode_has_no_interval(wanted: WantedWords) -> None:
    figure = report([turn()], wanted, resamples=100, seed=0)["figures"]["mean_return"]
    assert math.isnan(figure["low"])
