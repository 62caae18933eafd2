"""One order at a counter: the guest craves something sweet and something that wakes, and names one of two items on show.

The internal state holds both cravings in [0, 1], more often strong or weak than middling. The reward of an item is how well it meets
them, 1 - mean |craving - item|, and 0 when nothing is handed over. An episode is one turn.

Expected return of policies that are always understood (Monte Carlo, a million draws): either item at random 0.558, the item that is
best for the average guest 0.594, the better item for this guest 0.705, silence 0.
"""

from typing import Any

import numpy as np

SIDE = 64
EXIT = 1


def initial_internal_state_function() -> np.ndarray:
    return (np.sin(np.pi / 2 * np.random.rand(2)) ** 2).astype(np.float32)


def reward_function(current_env: Any, action_waveform: np.ndarray, next_env: Any) -> float:
    item = next_env.dialogue_feedback.selected_item
    if item is None:
        return 0.0
    offered = np.array([item.attributes["sweet"], item.attributes["caffeine"]])
    return 1.0 - float(np.mean(np.abs(current_env.internal_state - offered)))


def termination_function(current_env: Any, next_env: Any) -> bool:
    return next_env.dialogue_scene.scene_id == EXIT


def truncation_function(next_env: Any) -> bool:
    return False


def internal_state_update_function(previous_internal_state: np.ndarray, dialogue_feedback: Any) -> np.ndarray:
    return previous_internal_state


def observation_function(env_state: Any) -> dict[str, np.ndarray]:
    blank = np.zeros((SIDE, SIDE, 3), np.uint8)
    left, right = [*map(_thumbnail, env_state.dialogue_scene.images), blank, blank][:2]
    return {"state": env_state.internal_state, "leftimage": left, "rightimage": right}


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """The picture at one size, whatever size it was made at: every scene must give observations of one shape."""
    if image.shape[:2] == (SIDE, SIDE):
        return image
    rows, columns = (np.arange(SIDE) * side // SIDE for side in image.shape[:2])
    return image[rows][:, columns]
