"""The two published tasks of the shared data, with functions and wrapper written here: their own are not part of the data.

    task = load_published(shared_data, "food_task")

Equal to them in what they return, not in how they are written.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rapport.simulator.state import DialogueFeedback, EnvironmentState
from rapport.simulator.task import Task, load_task
from rapport.simulator.task_functions import TaskFunctions

SIDE = 224
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def _same_state(state: np.ndarray, feedback: DialogueFeedback) -> np.ndarray:
    return state


def _observe(state: EnvironmentState) -> dict[str, Any]:
    images = state.dialogue_scene.images or [np.zeros((SIDE, SIDE, 3), np.uint8)] * 2
    return {"state": state.internal_state, "leftimage": images[0], "rightimage": images[1]}


def _item(state: EnvironmentState) -> Any:
    assert state.dialogue_feedback is not None
    return state.dialogue_feedback.selected_item


def food_reward(current: EnvironmentState, action_waveform: np.ndarray, following: EnvironmentState) -> float:
    """1 for the shown picture whose mean colour is nearer to the wanted one, the right one when both are as near."""
    item = _item(following)
    if item is None or len(current.dialogue_scene.images) < 2:
        return 0.0
    left, right = current.dialogue_scene.images[:2]
    far = [float(np.linalg.norm(image.mean((0, 1)) - current.internal_state)) for image in (left, right)]
    return float(np.array_equal(item.image, left if far[0] < far[1] else right))


FOOD = TaskFunctions(
    reward=food_reward,
    terminated=lambda current, following: following.dialogue_scene.scene_id == 1,
    truncated=lambda following: True,
    next_internal_state=_same_state,
    observe=_observe,
    first_internal_state=lambda: np.random.uniform(0, 255, 3).astype(np.float32),
)


def corner_reward(current: EnvironmentState, action_waveform: np.ndarray, following: EnvironmentState) -> float:
    """How near a dish is to the wanted flavour and volume; 0 for a corner."""
    item = _item(following)
    if item is None or item.attributes["type"] == "corner":
        return 0.0
    dish = np.array([item.attributes["flavor_intensity"], item.attributes["volume"]])
    return 1.0 - float(np.abs(dish - current.internal_state).sum()) / 2


CORNER = TaskFunctions(
    reward=corner_reward,
    terminated=lambda current, following: following.dialogue_scene.scene_id == 3,
    truncated=lambda following: False,
    next_internal_state=_same_state,
    observe=_observe,
    first_internal_state=lambda: np.random.uniform(0, 1, 2).astype(np.float32),
)

FUNCTIONS = {"food_task": FOOD, "food_corner_task": CORNER}


class NormalisedImages(gym.ObservationWrapper):
    """Pictures as ImageNet classifiers want them, in a declared space that is too narrow for them: so it was published."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        picture = gym.spaces.Box(0.0, 1.0, (3, SIDE, SIDE), np.float32)
        assert isinstance(env.observation_space, gym.spaces.Dict)
        state = gym.spaces.Box(-10_000, 10_000, env.observation_space["state"].shape, np.float32)
        self.observation_space = gym.spaces.Dict({"state": state, "leftimage": picture, "rightimage": picture})

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        return {key: _normalised(value) if key.endswith("image") else value for key, value in observation.items()}


def _normalised(image: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(SIDE) * side // SIDE for side in image.shape[:2])
    return ((image[rows][:, columns] / np.float32(255) - MEAN) / DEVIATION).transpose(2, 0, 1).astype(np.float32)


def wrap_task_env(base_env: gym.Env, **kwargs: Any) -> gym.Env:
    """What both tasks' `task_wrappers.py` does."""
    return NormalisedImages(base_env)


def load_published(shared_data: Path, name: str, *, wrap: Callable[..., gym.Env] | None = None) -> Task:
    """`food_task` or `food_corner_task` of the shared data, with `wrap=wrap_task_env` as agents were meant to see it."""
    return replace(load_task(shared_data / "spolacq" / "tasks" / name, functions=FUNCTIONS[name]), wrap=wrap)
