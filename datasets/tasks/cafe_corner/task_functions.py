"""Two turns in a cafe: the guest picks a corner, whose choice earns nothing, and then one of two of its dishes.

The internal state holds how sweet a dish and how large a portion the guest wants, each in [0, 1], more often strong or weak than middling.
A dish earns 1 - (|sweetness - wanted| + |portion - wanted|) / 2; a corner, or nothing handed over, earns 0. All dishes of the bakery are
sweet and none of the kitchen's is, so that the first choice decides what the second can earn. One corner that is not understood costs
the episode.

Expected return of policies that are always understood (Monte Carlo, a million draws): either corner and either dish 0.596, either
corner, or always the same one, and the better dish 0.685, the wanted corner and either dish 0.738, the wanted corner and the better
dish 0.827, silence 0.
"""

from typing import Any

import numpy as np

SIDE = 64
EXIT = 3


def initial_internal_state_function() -> np.ndarray:
    return (np.sin(np.pi / 2 * np.random.rand(2)) ** 2).astype(np.float32)


def reward_function(current_env: Any, action_waveform: np.ndarray, next_env: Any) -> float:
    item = next_env.dialogue_feedback.selected_item
    if item is None or item.attributes["type"] == "corner":
        return 0.0
    dish = np.array([item.attributes["sweetness"], item.attributes["portion"]])
    return 1.0 - float(np.mean(np.abs(current_env.internal_state - dish)))


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
