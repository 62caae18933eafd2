"""Transitions of many sessions as a task's single-environment wrapper shows them, row by row."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.spaces import WaveformSpace, as_array, check_fit, infer_space
from rapport.simulator.task import Task
from rapport.simulator.transition import Action, Transition


class WrapperError(RapportError):
    """A wrapper that cannot be used on sessions which are stepped together."""


class View(NamedTuple):
    """What an environment returns of a reset (reward 0, not over) or a step."""

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class RowViews:
    """The rows of a vector. With `wrapped`, each looks through the task's wrapper, which keeps its own memory of the row.

    Wrappers may change observations, rewards, ends and infos. Of those that change actions only `gymnasium.ActionWrapper` will do:
    all sessions act before any wrapper is stepped.
    """

    def __init__(self, task: Task, first_observation: Any, rows: int, *, wrapped: bool = True) -> None:
        space = infer_space(first_observation)
        self._bare = task.wrap is None or not wrapped
        self._uniform = task.wrap is None
        self._inner = [] if self._bare else [_Row(space) for _ in range(rows)]
        self._outer: list[gym.Env[Any, Any]] = [task.wrap(row) for row in self._inner] if task.wrap is not None and wrapped else []
        self.observation_space = space if self._bare else self._outer[0].observation_space
        self.action_space: gym.Space[Any] = WaveformSpace() if self._bare else self._outer[0].action_space

    def spoken(self, row: int, action: Any) -> Action:
        """The speech that a row's wrapper makes of an action."""
        if self._bare:
            return action
        env = self._outer[row]
        while isinstance(env, gym.Wrapper):
            if isinstance(env, gym.ActionWrapper):
                action = env.action(action)
            env = env.env
        self._inner[row].spoken = action
        return action

    def views(self, transitions: Sequence[Transition], actions: Sequence[Any]) -> list[View]:
        """What each row shows of its transition; `actions` are those that its wrapper was given, and of no matter after a reset."""
        if self._bare:
            return [self._plain(step) for step in transitions]
        return [self._wrapped(row, step, action) for row, (step, action) in enumerate(zip(transitions, actions, strict=True))]

    def _plain(self, step: Transition) -> View:
        observation = as_array(step.observation)
        if self._uniform:
            check_fit(self.observation_space, observation)
        return View(observation, step.reward, step.terminated, step.truncated, step.info)

    def _wrapped(self, row: int, step: Transition, action: Any) -> View:
        self._inner[row].transition = step
        if step.previous is None:
            observation, info = self._outer[row].reset()
            return View(observation, 0.0, False, False, info)
        observation, reward, terminated, truncated, info = self._outer[row].step(action)
        return View(observation, float(reward), bool(terminated), bool(truncated), info)


class _Row(gym.Env[Any, Any]):
    """The innermost environment of a row: it hands on what its session has come to."""

    def __init__(self, observation_space: gym.Space[Any]) -> None:
        self.observation_space = observation_space
        self.action_space = WaveformSpace()
        self.transition: Transition | None = None
        self.spoken: Action | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        step = self._take()
        return as_array(step.observation), step.info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if action is not self.spoken and (self.spoken is None or not np.array_equal(action, self.spoken)):
            raise WrapperError(
                "the task's wrapper changes actions on its way inwards: derive it from gymnasium.ActionWrapper (and let equal actions "
                "give equal speech), or use DialogueEnv"
            )
        step = self._take()
        return as_array(step.observation), step.reward, step.terminated, step.truncated, step.info

    def _take(self) -> Transition:
        step, self.transition = self.transition, None
        if step is None:
            raise WrapperError("the task's wrapper steps or resets its environment more than once a turn: use DialogueEnv")
        return step
