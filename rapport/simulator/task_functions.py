"""A task's own rules, as `task_functions.py` of a task folder gives them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rapport.core.config import ConfigError
from rapport.simulator.documents import nearest
from rapport.simulator.state import DialogueFeedback, EnvironmentState


class Published(NamedTuple):
    """How a task folder names and takes a function."""

    name: str
    arguments: tuple[str, ...]


PUBLISHED = {
    "reward": Published("reward_function", ("current_env", "action_waveform", "next_env")),
    "terminated": Published("termination_function", ("current_env", "next_env")),
    "truncated": Published("truncation_function", ("next_env",)),
    "next_internal_state": Published("internal_state_update_function", ("previous_internal_state", "dialogue_feedback")),
    "observe": Published("observation_function", ("env_state",)),
    "first_internal_state": Published("initial_internal_state_function", ()),
}
"""Field of `TaskFunctions` to what a task folder calls it."""


@dataclass(frozen=True)
class TaskFunctions:
    """The six functions of a task; None for one that a task loaded with `strict=False` does not have."""

    reward: Callable[[EnvironmentState, np.ndarray, EnvironmentState], float] | None = None
    """Of a turn: the state before, the agent's waveform float32 [S], the state after. None: always 0."""
    terminated: Callable[[EnvironmentState, EnvironmentState], bool] | None = None
    """Whether a turn ended the episode. None: never."""
    truncated: Callable[[EnvironmentState], bool] | None = None
    """Whether to break off after a turn, besides the task's `max_step`. None: only then."""
    next_internal_state: Callable[[np.ndarray, DialogueFeedback], np.ndarray] | None = None
    """The agent's needs after a turn. None: constant."""
    observe: Callable[[EnvironmentState], dict[str, Any]] | None = None
    """What the agent perceives. None: its internal state."""
    first_internal_state: Callable[[], np.ndarray] | None = None
    """The agent's needs when an episode begins. None: three uniform numbers."""

    @classmethod
    def from_module(cls, module: ModuleType, path: str | Path, strict: bool = True) -> "TaskFunctions":
        """The functions of a loaded `task_functions.py`.

        Raises ConfigError naming the file and the function when one is missing or cannot be called as it will be; with `strict=False`
        a missing one is None.
        """
        found: dict[str, Any] = {}
        for field in fields(cls):
            name, arguments = PUBLISHED[field.name]
            function = getattr(module, name, None)
            if function is None:
                if strict:
                    near = nearest(name, [n for n in vars(module) if n not in _names()])
                    raise ConfigError(f"{path}: {name}({', '.join(arguments)}) is missing{near} (strict=False does without)")
                continue
            if strict:
                _check_call(function, name, arguments, path)
            found[field.name] = function
        return cls(**found)


def _names() -> set[str]:
    return {published.name for published in PUBLISHED.values()}


def _check_call(function: Any, name: str, arguments: tuple[str, ...], path: str | Path) -> None:
    wanted = f"{name}({', '.join(arguments)})"
    if not callable(function):
        raise ConfigError(f"{path}: {name}: wanted the function {wanted}, found {function!r}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some compiled functions cannot tell theirs
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ConfigError(f"{path}: {name}{signature} is called as {wanted}: {error}") from error
