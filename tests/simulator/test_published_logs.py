"""Logs in the published layout: written, found where the published simulator puts them, and loaded back to equal states."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.env import DialogueEnv
from rapport.simulator.media import RecordingError
from rapport.simulator.published_logs import LogRecorder, load_log
from rapport.simulator.recorder import recorded
from rapport.simulator.state import EnvironmentState
from rapport.simulator.task import Task, load_task
from rapport.simulator.transition import Transition
from tests.simulator.toy_dialogue import RATE_HZ, TEMPLATE, speech, toy_services


@pytest.fixture
def task() -> Task:
    return load_task("cafe_corner")


def hold(task: Task, folder: Path, *, audio: bool = True, spoken: bool = True, episodes: int = 1) -> list[list[Transition]]:
    """Asks for the second item on offer in every turn."""
    services = toy_services(task, otherwise="stay")
    env: Any = recorded(
        DialogueEnv(task, services, TEMPLATE, SimulatorConfig(audio=audio, mode="test")),
        LogRecorder(str(folder), task, mode="test", rate_hz=RATE_HZ),
    )
    held = []
    for _ in range(episodes):
        _, info = env.reset()
        turns, over = [], False
        while not over:
            words = task.patterns.utterance(next(i for i in task.scenario.items.values() if i.name == info["offered"][1]), 0)  # type: ignore[union-attr]
            _, _, terminated, truncated, info = env.step(speech(words) if spoken else words)
            turns.append(env.unwrapped.transition)
            over = terminated or truncated
        held.append(turns)
    env.close()
    return held


def same_state(loaded: EnvironmentState, held: EnvironmentState) -> None:
    assert loaded.dialogue_scene.scene_id == held.dialogue_scene.scene_id
    assert np.array_equal(loaded.dialogue_scene.prompt_waveform, held.dialogue_scene.prompt_waveform)
    assert len(loaded.dialogue_scene.images) == len(held.dialogue_scene.images)
    for one, other in zip(loaded.dialogue_scene.images, held.dialogue_scene.images, strict=True):
        assert np.array_equal(one, other)
    assert loaded.internal_state.dtype == held.internal_state.dtype
    assert np.array_equal(loaded.internal_state, held.internal_state)
    assert (loaded.dialogue_feedback is None) == (held.dialogue_feedback is None)
    if loaded.dialogue_feedback is not None and held.dialogue_feedback is not None:
        assert np.array_equal(loaded.dialogue_feedback.response_waveform, held.dialogue_feedback.response_waveform)
        one_item, other_item = loaded.dialogue_feedback.selected_item, held.dialogue_feedback.selected_item
        assert (one_item is None) == (other_item is None)
        if one_item is not None and other_item is not None:
            assert one_item.id == other_item.id
            assert one_item.attributes == other_item.attributes
            assert np.array_equal(one_item.image, other_item.image)  # type: ignore[arg-type]


def test_what_is_logged_is_loaded_as_equal_states(task: Task, tmp_path: Path) -> None:
    (held,) = hold(task, tmp_path)
    loaded = load_log(tmp_path / "logs" / "test" / "1_log.json", task.scenario)
    assert len(loaded) == len(held) == 2
    for turn, step in zip(loaded, held, strict=True):
        assert step.previous is not None
        same_state(turn.before, step.previous)
        same_state(turn.after, step.next)
        assert np.array_equal(turn.action, step.action)  # type: ignore[arg-type]
        assert turn.reward == step.reward
    given = loaded[0].after.dialogue_feedback.selected_item  # type: ignore[union-attr]
    assert given is not None
    assert given.image is loaded[0].before.dialogue_scene.images[1], "the very array that was shown"


def test_a_task_rewards_loaded_states_as_it_did(task: Task, tmp_path: Path) -> None:
    (held,) = hold(task, tmp_path, audio=False)
    for turn, step in zip(load_log(tmp_path / "logs" / "test" / "1_log.json", task.scenario), held, strict=True):
        assert task.functions.reward is not None
        assert float(task.functions.reward(turn.before, turn.action, turn.after)) == pytest.approx(step.reward)  # type: ignore[arg-type]


def test_files_lie_where_the_published_simulator_puts_them(task: Task, tmp_path: Path) -> None:
    hold(task, tmp_path)
    names = sorted(path.name for path in (tmp_path / "audio" / "test" / "1").iterdir())
    assert names == sorted(
        [f"{k}_{which}-env_prompt-waveform.wav" for k in (1, 2) for which in ("current", "next")]
        + ["1_next-env_response-waveform.wav", "2_current-env_response-waveform.wav", "2_next-env_response-waveform.wav"]
        + ["1_action-waveform.wav", "2_action-waveform.wav"]
    )
    log = json.loads((tmp_path / "logs" / "test" / "1_log.json").read_text())
    published = {"environment_state", "action_waveform_path", "next_environment_state", "reward"}
    assert published <= set(log[0])
    state = log[1]["environment_state"]
    assert set(state["dialogue_scene"]) == {"scene_id", "prompt_waveform_path", "image_paths"}
    assert {"selected_item_image_path", "response_waveform_path"} <= set(state["dialogue_feedback"])
    assert all(isinstance(value, str) for value in state["internal_state"])
    item = next(item for item in task.scenario.items.values() if item.name == log[0]["words"]["item_name"])
    assert log[0]["next_environment_state"]["dialogue_feedback"]["selected_item_image_path"] == f"images/test/{item.id}_{item.name}_0.png"


def test_words_are_logged_as_words(task: Task, tmp_path: Path) -> None:
    (held,) = hold(task, tmp_path, audio=False, spoken=False)
    loaded = load_log(tmp_path / "logs" / "test" / "1_log.json", task.scenario)
    assert [turn.action for turn in loaded] == [step.action for step in held]


def test_logs_are_added_to_and_pictures_are_not_written_twice(task: Task, tmp_path: Path) -> None:
    first = hold(task, tmp_path, audio=False, episodes=2)
    pictures = sorted((tmp_path / "images" / "test").iterdir())
    hold(task, tmp_path, audio=False, episodes=2)
    logs = sorted(path.name for path in (tmp_path / "logs" / "test").iterdir())
    assert logs == ["1_log.json", "2_log.json", "3_log.json", "4_log.json"]
    assert sorted((tmp_path / "images" / "test").iterdir()) == pictures
    for number in (2, 4):
        same_state(load_log(tmp_path / "logs" / "test" / f"{number}_log.json", task.scenario)[0].before, first[1][0].previous)  # type: ignore[arg-type]


def test_a_published_log_without_our_keys_is_loaded(task: Task, tmp_path: Path) -> None:
    (held,) = hold(task, tmp_path)
    path = tmp_path / "logs" / "test" / "1_log.json"
    log = json.loads(path.read_text())
    for turn in log:
        for key in ("action_text", "terminated", "truncated", "words"):
            del turn[key]
        for state in (turn["environment_state"], turn["next_environment_state"]):
            del state["internal_state_type"], state["internal_state_shape"]
            if state["dialogue_feedback"]:
                del state["dialogue_feedback"]["selected_item_id"]
    path.write_text(json.dumps(log))
    for turn, step in zip(load_log(path, task.scenario), held, strict=True):
        same_state(turn.after, step.next)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda log: log[0].pop("environment_state"), "environment_state"),
        (lambda log: log[0]["next_environment_state"]["dialogue_feedback"].update(selected_item_id=99), "the item 99"),
        (lambda log: log[0].update(action_waveform_path="audio/gone.wav"), "gone.wav"),
    ],
)
def test_what_is_wrong_with_a_log_is_told(task: Task, tmp_path: Path, spoil: Any, told: str) -> None:
    hold(task, tmp_path, audio=False)
    path = tmp_path / "logs" / "test" / "1_log.json"
    log = json.loads(path.read_text())
    spoil(log)
    path.write_text(json.dumps(log))
    with pytest.raises(RecordingError, match=told):
        load_log(path, task.scenario)
    with pytest.raises(RecordingError, match=r"9_log\.json"):
        load_log(tmp_path / "logs" / "test" / "9_log.json", task.scenario)
