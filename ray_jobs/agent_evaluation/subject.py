"""What is evaluated: an agent, the world it learned in, and what its body had not seen."""

import posixpath
from dataclasses import dataclass
from typing import Any

import yaml

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.find import saved_at_ns
from rapport.models.saving import METRICS
from rapport.ray_jobs.agent_evaluation.config import EvaluateAgentConfig
from rapport.ray_jobs.agent_training.run_folder import POLICY
from rapport.ray_jobs.agent_training.world import WORLD, AgentWorld, load_world
from rapport.ray_jobs.training_runs.run_folder import CONFIG, absolute
from rapport.simulator.task import Task, load_task
from rapport.training.sampler import derive_seed


@dataclass(frozen=True)
class Subject:
    """One evaluation before it begins."""

    name: str
    """Of the agent."""
    folder: str
    world: AgentWorld
    """That of its training, with the services of this evaluation."""
    task: Task
    trained: dict[str, Any]
    """What its training came to."""
    unseen_items: tuple[str, ...]
    """Names, as the task writes them."""
    unseen_patterns: tuple[int, ...]
    """Numbers of utterances that the agent's body was not trained on."""
    seed: int
    """Of the episodes: unrelated to those of training and of its own evaluations."""
    warnings: tuple[str, ...]

    @property
    def policy(self) -> str:
        """The folder of its policy."""
        return storage.join(self.folder, POLICY)


def choose_subject(config: EvaluateAgentConfig) -> Subject:
    """The agent and its world. Raises RapportError when there is none, and for items that the task does not have."""
    folder = _folder(config)
    world = load_world(folder)
    told = {key: getattr(config, key) for key in ("judge", "ears", "pictures") if getattr(config, key)}
    if config.grammar is not None:
        told["grammar"] = config.grammar
    world = world.model_copy(update={"services": world.services.model_copy(update=told)})
    task = load_task(world.task, strict=world.strict)
    trained = storage.read_json(storage.join(folder, METRICS)) if storage.exists(storage.join(folder, METRICS)) else {}
    items, patterns, warnings = _held_out(config, trained)
    known = {item.name for item in task.scenario.items.values()}
    if strange := [name for name in items if name not in known]:
        raise RapportError(f"unseen_items has {strange[0]!r}: the items of {task.name} are {', '.join(sorted(known))}")
    if told:
        warnings.append("not the services of its training: " + ", ".join(f"{key} is {value}" for key, value in told.items()))
    return Subject(
        name=posixpath.basename(folder),
        folder=folder,
        world=world,
        task=task,
        trained=trained,
        unseen_items=items,
        unseen_patterns=patterns,
        seed=derive_seed("evaluate_agent", config.seed) % 2**32,
        warnings=tuple(warnings),
    )


def _folder(config: EvaluateAgentConfig) -> str:
    home = storage.join(absolute(config.storage), "models", "spolacq")
    if config.model:
        named = storage.join(home, config.model)
        return absolute(named if "/" not in config.model and storage.exists(named) else config.model).rstrip("/")
    found = list(storage.completed(home, WORLD))
    if not found:
        raise RapportError(f"no agent in {home}: train one with `python -m rapport.ray_jobs.train_agent`, or name one with --model")
    return max(found, key=lambda folder: (saved_at_ns(storage.join(folder, POLICY)), folder))


def _held_out(config: EvaluateAgentConfig, trained: dict[str, Any]) -> tuple[tuple[str, ...], tuple[int, ...], list[str]]:
    """Items and utterances that the body was not trained on, by the settings of its training where those are still there."""
    path = storage.join(trained["folder"], CONFIG) if trained.get("folder") else ""
    if not path or not storage.exists(path):
        warning = "the settings of its training are gone: what its body was not trained on is not known, but for unseen_items"
        return config.unseen_items, (), [] if config.unseen_items else [warning]
    settings = yaml.safe_load(storage.read_bytes(path)) or {}
    held_out = settings.get("data", {}).get("held_out", {})
    if settings.get("body_from"):
        return config.unseen_items, (), [f"its body is that of {settings['body_from']}: name what that was not trained on by unseen_items"]
    return config.unseen_items or tuple(held_out.get("items", ())), tuple(held_out.get("patterns", ())), []
