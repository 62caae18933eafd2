"""Agent folders: the learner that somebody wrote against the published base classes, loaded as it is.

    agent, trainer = load_agent("../project/agents/kiosk01", experiment.pretrain_config)

A folder holds `agent_config.json`, which names a class of `agent.py` and one of `trainer.py`. Its Python files are run: load only
folders whose code you would run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from rapport.core.config import Config, ConfigError
from rapport.simulator.agents import BaseAgent, BaseTrainer
from rapport.simulator.documents import MissingFile, nearest, read_file
from rapport.simulator.published_names import PublishedNames

CONFIG = "agent_config.json"


class AgentFolderError(ConfigError, ValueError):
    """No agent folder, or one whose `agent_config.json` cannot be used."""


class WrongBaseClass(ConfigError, TypeError):
    """An agent or trainer that does not derive from the published base class."""


class AgentFile(Config):
    """An agent folder's `agent_config.json`."""

    agent_class: str = Field(min_length=1)
    """Class of `agent.py`, a BaseAgent."""
    trainer_class: str = Field(min_length=1)
    """Class of `trainer.py`, a BaseTrainer."""


def load_agent(folder: str | Path, pretrain_config: Mapping[str, Any], *, strict: bool = True) -> tuple[BaseAgent, BaseTrainer]:
    """The agent of a folder, made from the experiment's `pretrain` section, and its trainer.

    Raises AgentFolderError (a ValueError) for no such folder and for a file that is no JSON or lacks a key, MissingFile (a
    FileNotFoundError) for a file that is not there, BrokenModule (an ImportError) for code that cannot be imported, and WrongBaseClass
    (a TypeError). Strict refuses unknown keys too.
    """
    place = Path(folder).expanduser().resolve()
    if not place.is_dir():
        raise AgentFolderError(f"{folder}: no such agent folder (`base.agent_name` names it below `agents`)")
    try:
        file = read_file(AgentFile, place / CONFIG, "the names of the agent's and the trainer's class", strict=strict)
    except MissingFile:
        raise
    except ConfigError as error:
        raise AgentFolderError(str(error)) from error
    names = PublishedNames.of_agent(place)
    agent_class = _class_in(names, place, "agent", file.agent_class, BaseAgent)  # type: ignore[type-abstract]
    trainer_class = _class_in(names, place, "trainer", file.trainer_class, BaseTrainer)  # type: ignore[type-abstract]
    return agent_class(dict(pretrain_config)), trainer_class()


BaseT = TypeVar("BaseT")


def _class_in(names: PublishedNames, folder: Path, module: str, name: str, base: type[BaseT]) -> type[BaseT]:
    path = folder / f"{module}.py"
    if not path.is_file():
        raise MissingFile(f"{path}: no such file; wanted one with the class {name}")
    loaded = names.load(f"agents.{folder.name}.{module}")
    found = getattr(loaded, name, None)
    if found is None:
        hint = nearest(name, [key for key, value in vars(loaded).items() if isinstance(value, type)])
        raise AgentFolderError(f"{folder / CONFIG}: {module}_class: {path} has no class {name}{hint}")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise WrongBaseClass(f"{folder / CONFIG}: {module}_class: {name} of {path} is no {base.__name__}: derive it from that")
    return found
