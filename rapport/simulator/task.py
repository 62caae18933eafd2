"""Task folders: a scenario, the task's own functions, how its items are asked for, and how its environment is wrapped.

    task = load_task("cafe")                      # shipped with Rapport
    task = load_task("../project/tasks/mine")     # anybody's

A folder holds `task_config.json`, the scenario that it names, `task_functions.py`, and where wanted `utterance_patterns.json` and
`task_wrappers.py`. Its Python files are run: load only folders whose code you would run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from pydantic import Field, PositiveInt

from rapport.core.config import Config, ConfigError
from rapport.core.storage import local_copy
from rapport.simulator.documents import MissingFile, nearest, read_file
from rapport.simulator.patterns import Patterns, load_patterns
from rapport.simulator.published_names import BrokenModule, PublishedNames
from rapport.simulator.scenario import Scenario, load_scenario
from rapport.simulator.shipped import TASKS
from rapport.simulator.task_functions import TaskFunctions

CONFIG = "task_config.json"
FUNCTIONS = "task_functions.py"
WRAPPERS = "task_wrappers.py"
PATTERNS = "utterance_patterns.json"


@dataclass(frozen=True)
class Task:
    """All that a task folder tells."""

    name: str
    folder: Path
    scenario: Scenario
    max_step: int
    """Turns after which an episode is broken off."""
    functions: TaskFunctions
    patterns: Patterns | None
    """How items are asked for; None for a task that cannot be pretrained for."""
    wrap: Callable[..., gym.Env] | None
    """`wrap(env)` is the environment as the task wants it seen; None: as it is."""


class TaskFile(Config):
    """A task folder's `task_config.json`."""

    task_config_name: str = Field(min_length=1)
    """File name of the scenario."""
    max_step: PositiveInt = 100
    """Turns after which an episode is broken off."""
    env_name: Any = None
    """Never read."""
    make_env: Any = None
    """Never read: `wrap_task_env` is found in `task_wrappers.py` by its name."""


def find_task(name_or_folder: str | Path) -> Path:
    """The folder of a task: a path, a URI (from an object store it is copied once), or the name of a shipped task. Raises MissingFile."""
    if "://" in str(name_or_folder):
        return local_copy(name_or_folder)
    for folder in (Path(name_or_folder).expanduser(), TASKS / name_or_folder):
        if (folder / CONFIG).is_file():
            return folder.resolve()
    names = shipped_tasks()
    raise MissingFile(
        f"no task {str(name_or_folder)!r}{nearest(str(name_or_folder), names)}: "
        f"wanted a folder with {CONFIG}, or one of the shipped tasks {', '.join(names)}"
    )


def shipped_tasks() -> list[str]:
    """Names of the tasks that come with Rapport."""
    return sorted(file.parent.name for file in TASKS.glob(f"*/{CONFIG}"))


def load_task(folder: str | Path, *, strict: bool = True, functions: TaskFunctions | None = None) -> Task:
    """The task of a folder or of a shipped name.

    `functions` stand in for `task_functions.py`, which is then not read. Raises ConfigError that names the file and the key or function:
    for what is missing, misspelt or does not fit together, and for Python files that cannot be imported. With `strict=False` unknown
    keys and ids, scenes out of reach and missing functions are let pass, as the published simulator does.
    """
    place = find_task(folder)
    file = read_file(TaskFile, place / CONFIG, "the task's scenario and limits", strict=strict)
    scenario = load_scenario(place / file.task_config_name, strict=strict)
    patterns = load_patterns(place / PATTERNS, strict=strict) if (place / PATTERNS).is_file() else None
    if patterns is not None and strict:
        patterns.sentences(scenario.items.values())
    names = PublishedNames.of_task(place)
    return Task(
        name=place.name,
        folder=place,
        scenario=scenario,
        max_step=file.max_step,
        functions=functions or _functions(names, place, strict),
        patterns=patterns,
        wrap=_wrapper(names, place),
    )


def _functions(names: PublishedNames, folder: Path, strict: bool) -> TaskFunctions:
    path = folder / FUNCTIONS
    if not path.is_file():
        raise BrokenModule(f"{path}: no such file; wanted the task's six functions, or `functions` given to load_task")
    return TaskFunctions.from_module(names.load(f"tasks.{folder.name}.{path.stem}"), path, strict)


def _wrapper(names: PublishedNames, folder: Path) -> Callable[..., gym.Env] | None:
    path = folder / WRAPPERS
    if not path.is_file():
        return None
    wrap = getattr(names.load(f"tasks.{folder.name}.{path.stem}"), "wrap_task_env", None)
    if not callable(wrap):
        raise ConfigError(f"{path}: wanted a function wrap_task_env(base_env, **kwargs), found {wrap!r}")
    return wrap
