"""A guest before two pictures, without pictures, speech or services: the same spaces as the simulator's environments, in microseconds.

The state is two numbers, the features of a picture hide two attributes behind a fixed linear map; the reward of choosing a picture is how
near its attributes are to the state, if the sentence embedding is understood. With `turns` 2, the first choice decides from which of two
trays the second offer is drawn, and earns nothing by itself.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from ray.rllib.callbacks.callbacks import RLlibCallback

FEATURES, SENTENCE = 6, 3
_ITEMS = np.array([[0.3, 0.9], [0.4, 0.4], [0.1, 0.1], [0.2, 0.6], [1.0, 0.6], [0.7, 0.3], [0.9, 0.9], [0.6, 0.1]], np.float32)
_CORNERS = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
_MAP = np.random.default_rng(5).normal(size=(4, FEATURES)).astype(np.float32)


def picture(attributes: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Features [F]."""
    return np.concatenate([attributes, corner]) @ _MAP


class ToyGuests(VectorEnv):
    """B guests; next-step autoreset."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  as gymnasium has it

    def __init__(self, num_envs: int, actions: str = "factored", turns: int = 1, seed: int = 0):
        self.num_envs, self.actions, self.turns = num_envs, actions, turns
        infinite = np.full(2 + 2 * FEATURES, np.inf, np.float32)
        self.single_observation_space = gym.spaces.Box(-infinite, infinite)
        self.single_action_space = {
            "factored": gym.spaces.Dict(image=gym.spaces.Discrete(2), sentence=gym.spaces.Box(-2.5, 2.5, (SENTENCE,))),
            "box": gym.spaces.Box(-1.0, 1.0, (1 + SENTENCE,)),
            "feature": gym.spaces.Box(-1e4, 1e4, (FEATURES + SENTENCE,)),
        }[actions]
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self.master = seed
        self._begin(seed)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        self._begin(self.master if seed is None else seed)
        for row in range(self.num_envs):
            self._start(row)
        return self._observed(), {}

    def step(self, actions: Any) -> Any:
        rewards = np.zeros(self.num_envs, np.float32)
        ended = np.zeros(self.num_envs, bool)
        chosen, sentences = self._read(actions)
        for row in range(self.num_envs):
            if self.over[row]:
                self._start(row)
                continue
            item = self.offers[row][chosen[row]]
            understood = np.abs(sentences[row]).max() < 2.0
            if understood and self.turn[row] == self.turns - 1:
                rewards[row] = 1.0 - np.abs(_ITEMS[item] - self.states[row]).mean()
            self.turn[row] += 1
            ended[row] = self.turn[row] == self.turns or not understood
            if not ended[row]:
                self._offer(row, self.random[row].permutation(4)[:2] + 4 * chosen[row])
        self.over = ended.copy()
        return self._observed(), rewards, ended, np.zeros(self.num_envs, bool), {}

    def _begin(self, seed: int) -> None:
        self.random = [np.random.default_rng([seed, row]) for row in range(self.num_envs)]
        self.states = np.zeros((self.num_envs, 2), np.float32)
        self.pictures = np.zeros((self.num_envs, 2, FEATURES), np.float32)
        self.offers = np.zeros((self.num_envs, 2), int)
        self.turn = np.zeros(self.num_envs, int)
        self.over = np.zeros(self.num_envs, bool)

    def _start(self, row: int) -> None:
        self.over[row], self.turn[row] = False, 0
        self.states[row] = self.random[row].random(2)
        if self.turns == 2:
            self.offers[row] = [0, 1]
            self.pictures[row] = [picture(np.zeros(2), corner) for corner in _CORNERS]
        else:
            self._offer(row, self.random[row].permutation(8)[:2])

    def _offer(self, row: int, items: np.ndarray) -> None:
        self.offers[row] = items
        self.pictures[row] = [picture(_ITEMS[item], np.zeros(2)) for item in items]

    def _observed(self) -> np.ndarray:
        return np.concatenate([self.states, self.pictures.reshape(self.num_envs, -1)], 1).astype(np.float32)

    def _read(self, actions: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.actions == "factored":
            return np.asarray(actions["image"]), np.asarray(actions["sentence"])
        if self.actions == "box":
            return (actions[:, 0] > 0).astype(int), 2.5 * actions[:, 1:]
        distances = np.abs(self.pictures - actions[:, None, :FEATURES]).sum(-1)
        return distances.argmin(1), actions[:, FEATURES:]


def create(context: Any) -> ToyGuests:
    """As RLlib asks for it."""
    return ToyGuests(context["num_envs"], context["actions"], context["turns"])


class Silent(RLlibCallback):
    """Hears nothing."""
