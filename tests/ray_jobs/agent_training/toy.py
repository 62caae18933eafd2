"""A guest before two pictures, without pictures, speech or services: the same spaces as the simulator's environments, in microseconds.

The state is two numbers, the features of a picture hide two attributes behind a fixed linear map; the reward of choosing a picture is how
near its attributes are to the state, if the sentence embedding is understood. With `turns` 2, the first choice decides from which of two
trays the second offer is drawn, and earns nothing by itself.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from ray.tune.registry import register_env

from rapport.core.config import with_values
from rapport.models.spolacq.policy import Layout
from rapport.models.spolacq.policy_config import PolicyConfig
from rapport.ray_jobs.agent_training.algorithms import ACTIONS, Plan
from rapport.ray_jobs.agent_training.environment import CountedDialogues
from rapport.ray_jobs.agent_training.settings import AlgorithmName, LearningConfig

TOY = "toy-guests"
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

    def __init__(self, num_envs: int, actions: str = "factored", turns: int = 1, seed: int = 0, reseeds: bool = True) -> None:
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
        self.seed, self.reseeds, self.takes_seed = seed, reseeds, True
        self.episodes = [0] * num_envs
        self.random = [np.random.default_rng() for _ in range(num_envs)]
        self.states = np.zeros((num_envs, 2), np.float32)
        self.pictures = np.zeros((num_envs, 2, FEATURES), np.float32)
        self.offers = np.zeros((num_envs, 2), int)
        self.turn = np.zeros(num_envs, int)
        self.over = np.zeros(num_envs, bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        if seed is not None and self.takes_seed:
            self.seed, self.episodes = seed, [0] * self.num_envs
        self.takes_seed = self.reseeds
        for row in range(self.num_envs):
            self._start(row)
        return self._observed(), {}

    def get_state(self) -> dict[str, Any]:
        return {"seed": self.seed, "episodes": list(self.episodes)}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seed, self.episodes, self.takes_seed = state["seed"], list(state["episodes"]), False

    def step(self, actions: Any) -> Any:
        rewards = np.zeros(self.num_envs, np.float32)
        ended = np.zeros(self.num_envs, bool)
        chosen, sentences = self._read(actions)
        named = np.array([f"item {offer[choice]}" for offer, choice in zip(self.offers, chosen, strict=True)], dtype=object)
        handed = np.full(self.num_envs, "", dtype=object)
        acted = ~self.over
        for row in range(self.num_envs):
            if self.over[row]:
                self._start(row)
                continue
            item = self.offers[row][chosen[row]]
            understood = np.abs(sentences[row]).max() < 2.0
            handed[row] = named[row] if understood else ""
            if understood and self.turn[row] == self.turns - 1:
                rewards[row] = 1.0 - np.abs(_ITEMS[item] - self.states[row]).mean()
            self.turn[row] += 1
            ended[row] = self.turn[row] == self.turns or not understood
            if not ended[row]:
                self._offer(row, self.random[row].permutation(4)[:2] + 4 * chosen[row])
        self.over = ended.copy()
        infos = {"chosen_name": named, "_chosen_name": acted, "item_name": handed}
        return self._observed(), rewards, ended, np.zeros(self.num_envs, bool), infos

    def _start(self, row: int) -> None:
        self.over[row], self.turn[row] = False, 0
        self.random[row] = np.random.default_rng([self.seed, row, self.episodes[row]])
        self.episodes[row] += 1
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


def create(context: Any) -> CountedDialogues:
    """As RLlib asks for it."""
    sessions, turns = context["num_envs"], context["turns"]
    dialogues = ToyGuests(sessions, context["actions"], turns, reseeds=False)
    return CountedDialogues(dialogues, lambda worker: ToyGuests(sessions, turns=turns, seed=worker), time_limit_ends=True)


def plan(algorithm: AlgorithmName, length: int = 1, seed: int = 0, **learning: Any) -> Plan:
    """What an agent learns this by. `length` is that of an episode, in turns."""
    settings = with_values(LearningConfig(algorithm=algorithm, runners=0), learning)
    layout = Layout(numbers=2, features=FEATURES, sentence=SENTENCE)
    context = {"actions": ACTIONS[algorithm], "turns": length}
    register_env(TOY, create)
    return Plan(settings, PolicyConfig(critic_width=64), layout, TOY, context, seed)
