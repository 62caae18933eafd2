"""A task's functions, called as the published simulator calls them: missing ones defaulted, returns checked, dice seeded."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.seeding import seeded
from rapport.simulator.state import DialogueFeedback, DialogueScene, EnvironmentState
from rapport.simulator.task import Task


class TaskFunctionError(RapportError, ValueError):
    """A task function that returned what it must not."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A turn as a task sees it."""

    state: EnvironmentState
    reward: float
    terminated: bool
    truncated: bool
    """By the task's own rule, whatever its `max_step`."""
    observation: Any


class TaskRules:
    """The rules of a task. Functions that draw from the global generators do so from `seed`, and leave them as they were."""

    def __init__(self, task: Task, config: SimulatorConfig) -> None:
        self._functions = task.functions
        self._where = f"task {task.name}"
        seconds = config.audio_observation_s
        self._audio_samples = None if seconds is None else round(seconds * config.sampling_rate_hz)

    def first(self, scene: DialogueScene, seed: int) -> tuple[EnvironmentState, Any]:
        """The state that an episode begins in, and its observation."""
        with seeded(seed):
            function = self._functions.first_internal_state
            internal = np.random.rand(3).astype(np.float32) if function is None else function()
            state = EnvironmentState(scene, None, np.asarray(internal))
            return state, self._observe(state)

    def turn(self, before: EnvironmentState, waveform: np.ndarray, scene: DialogueScene, feedback: DialogueFeedback, seed: int) -> Outcome:
        """What a turn comes to. The reward sees the internal state before the turn in `before`, and that after it in the new state."""
        functions = self._functions
        with seeded(seed):
            internal = before.internal_state
            if functions.next_internal_state is not None:
                # A copy: a function that works in place must not change what the reward sees as the state before.
                internal = np.asarray(functions.next_internal_state(internal.copy(), feedback))
            state = EnvironmentState(scene, feedback, internal)
            reward = 0.0 if functions.reward is None else self._number(functions.reward(before, waveform, state))
            terminated = functions.terminated is not None and bool(functions.terminated(before, state))
            truncated = functions.truncated is not None and bool(functions.truncated(state))
            return Outcome(state, reward, terminated, truncated, self._observe(state))

    def observe(self, state: EnvironmentState, seed: int) -> Any:
        """The observation of a state."""
        with seeded(seed):
            return self._observe(state)

    def _observe(self, state: EnvironmentState) -> Any:
        observe = self._functions.observe
        observation: Any = {"internal_state": state.internal_state} if observe is None else observe(state)
        if self._audio_samples is None:
            return observation
        if not isinstance(observation, dict) or "audio" in observation:
            found = "has a key audio of its own" if isinstance(observation, dict) else f"is {type(observation).__name__}"
            raise TaskFunctionError(f"{self._where}: the observation {found}: unset audio_observation_s, or return a dictionary without it")
        return observation | {"audio": _fit(state.dialogue_scene.prompt_waveform, self._audio_samples)}

    def _number(self, reward: Any) -> float:
        try:
            number = float(reward)
        except (TypeError, ValueError) as error:
            raise TaskFunctionError(f"{self._where}: reward_function returned {reward!r}: wanted a number") from error
        if not np.isfinite(number):
            raise TaskFunctionError(f"{self._where}: reward_function returned {number}: wanted a finite number")
        return number


def _fit(waveform: np.ndarray, samples: int) -> np.ndarray:
    fitted = np.zeros(samples, np.float32)
    part = waveform[:samples]
    fitted[: len(part)] = part
    return fitted
