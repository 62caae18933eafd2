"""Systems hold the episodes they are told to, all of them the same ones, and leave everything else as it was."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rapport.ray_jobs.agent_evaluation.playing import PolicyPlayer, best_of, counts, play
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.foresight import Foresight
from rapport.simulator.policies import load_policy
from rapport.simulator.recording import DialogueRecorder, read_recording
from rapport.simulator.requests import Services
from rapport.simulator.rows import DialogueRows
from rapport.simulator.task import Task, load_task
from tests.ray_jobs.agent_evaluation.toy import toy_player
from tests.simulator.toy_dialogue import RATE_HZ, TEMPLATE, counted, toy_services


@pytest.fixture
def task() -> Task:
    return load_task("cafe_corner")


@pytest.fixture
def services(task: Task) -> Services:
    return toy_services(task, otherwise="stay")


def held(task: Task, services: Services, player: Any, folder: Path, episodes: int = 7, seed: int = 3) -> list[Any]:
    """The recorded turns of as many episodes."""
    with DialogueRecorder(str(folder), rate_hz=RATE_HZ, media=0) as recorder:
        best = best_of(Foresight(task, services.judge, TEMPLATE), task)
        play(player, best, [recorder], seed, counts(episodes, len(player.rows)))
    return list(read_recording(str(folder)).turns)


def policy_player(task: Task, services: Services, name: str, rows: int = 3) -> PolicyPlayer:
    policy = load_policy(name, task, services.judge, TEMPLATE)
    dialogues = DialogueRows(task, services, TEMPLATE, SimulatorConfig(mode="test", images_per_item=1), rows=rows)
    return PolicyPlayer(dialogues, policy, lambda words: words, task)


def seeds(turns: list[Any]) -> set[str]:
    return {turn["episode"] for turn in turns}


@pytest.mark.parametrize(("episodes", "rows"), [(7, 3), (2, 3), (6, 3), (1, 1)])
def test_exactly_so_many_episodes_are_held_as_many_in_each_row(episodes: int, rows: int) -> None:
    found = counts(episodes, rows)
    assert found.sum() == episodes
    assert found.max() - found.min() <= 1


def test_all_systems_hold_the_same_episodes(task: Task, services: Services, tmp_path: Path) -> None:
    players = {
        "agent": toy_player(task, services),
        "words": toy_player(task, services, words=True),
        **{name: policy_player(task, services, name) for name in ("oracle", "silence", "random")},
    }
    turns = {name: held(task, services, player, tmp_path / name) for name, player in players.items()}
    assert len({frozenset(seeds(found)) for found in turns.values()}) == 1
    assert len(seeds(turns["agent"])) == 7
    first = {name: {t["episode"]: (t["offered"], t["internal_state"]) for t in found if t["turn"] == 1} for name, found in turns.items()}
    assert all(found == first["agent"] for found in first.values()), "the same offers and wants to begin with"


def test_what_is_meant_and_best_is_told(task: Task, services: Services, tmp_path: Path) -> None:
    for turn in held(task, services, policy_player(task, services, "oracle"), tmp_path / "oracle"):
        assert turn["chosen_name"] in turn["best"]
        assert turn["chosen_name"] == turn["item_name"] == turn["offered"][turn["chosen"]]
    worst = held(task, services, policy_player(task, services, "worst"), tmp_path / "worst")
    assert not any(turn["chosen_name"] in turn["best"] for turn in worst)
    silent = held(task, services, policy_player(task, services, "silence"), tmp_path / "silence")
    assert {(turn["chosen_name"], turn["chosen"], turn["silent"]) for turn in silent} == {("", -1, True)}


def test_an_agents_words_are_its_choices_without_its_speech(task: Task, services: Services, tmp_path: Path) -> None:
    spoken = held(task, services, toy_player(task, services), tmp_path / "spoken")
    asked = len(counted(services, "ears").asked)
    assert asked > 0
    words = held(task, services, toy_player(task, services, words=True), tmp_path / "words")
    assert len(counted(services, "ears").asked) == asked, "words are not heard by ears"
    first = {t["episode"]: t["chosen_name"] for t in spoken if t["turn"] == 1}
    assert first == {t["episode"]: t["chosen_name"] for t in words if t["turn"] == 1}
    assert all(turn["item_name"] == turn["chosen_name"] for turn in words)
    assert all(turn["said"] and not turn["said_s"] for turn in words)


def test_a_row_that_has_played_its_share_is_not_recorded(task: Task, services: Services, tmp_path: Path) -> None:
    turns = held(task, services, toy_player(task, services, rows=2), tmp_path, episodes=3)
    assert seeds(turns) == {"3-0-0-0", "3-0-0-1", "3-0-1-0"}


def test_an_evaluation_leaves_training_as_it_was(task: Task, tmp_path: Path) -> None:
    def trained(*, evaluates: bool) -> list[Any]:
        random.seed(5)
        np.random.seed(5)
        training = toy_player(task, toy_services(task, otherwise="stay"), seed=1)
        training.reset(11)
        seen: list[Any] = []
        for step in range(6):
            if evaluates and step == 3:
                services = toy_services(task, otherwise="stay")
                held(task, services, toy_player(task, services), tmp_path)
            training.step()
            seen += [(str(t.info["seed"]), t.reward, t.next.internal_state.tolist(), t.info["offered"]) for t in training.rows.transitions]
        return [*seen, random.random(), np.random.random()]

    assert trained(evaluates=True) == trained(evaluates=False)


def test_policies_act_without_touching_the_dice_of_networks(task: Task, services: Services, tmp_path: Path) -> None:
    player = toy_player(task, services)
    before = torch.get_rng_state()
    held(task, services, player, tmp_path)
    assert torch.equal(before, torch.get_rng_state())
