"""Checkpoints of an agent's learning: networks, optimisers, remembered turns, dialogues, and how far it is.

RLlib's own are pickled, forget the weight of SAC's entropy, and know nothing of the environments. No state of random generators is kept:
each iteration seeds them by its number.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER

from rapport.core import storage
from rapport.ray_jobs.agent_training.off_policy import OffPolicy
from rapport.ray_jobs.agent_training.processes import dialogue_states, restore_dialogues
from rapport.ray_jobs.agent_training.state_files import SHAPE, read_state, write_state
from rapport.ray_jobs.training_runs.run_folder import CHECKPOINTS

_NOT_KEPT = ("should_module_be_updated", "metrics_logger")


@dataclass
class LearningProgress:
    """How far the learning is."""

    iteration: int = 0
    turns: int = 0
    seconds: float = 0.0
    best: float | None = None
    """Best mean return of an evaluation."""
    best_iteration: int | None = None
    stopped: bool = False
    """Whether `stop_at` was reached."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """The records of all iterations."""


def save(folder: str, algorithm: Algorithm, progress: LearningProgress) -> None:
    """Write a checkpoint folder; complete when it has `state.json`."""
    learners: Any = algorithm.learner_group
    learner = learners.get_state()[COMPONENT_LEARNER]
    state: dict[str, Any] = {
        "progress": asdict(progress),
        "learner": {name: part for name, part in learner.items() if name not in _NOT_KEPT},
        "dialogues": dialogue_states(algorithm),
    }
    if isinstance(algorithm, OffPolicy):
        state |= {"turns": algorithm.turns.state(), "updates_owed": algorithm.updates_owed}
    write_state(folder, state)


def restore(folder: str, algorithm: Algorithm) -> LearningProgress:
    """Let a freshly built algorithm go on from a checkpoint. Raises RapportError when the folder is not complete."""
    state = read_state(folder)
    learners: Any = algorithm.learner_group
    runners: Any = algorithm.env_runner_group
    learners.set_state({COMPONENT_LEARNER: state["learner"]})
    runners.sync_weights(from_worker_or_learner_group=learners, inference_only=True)
    restore_dialogues(algorithm, state["dialogues"])
    if isinstance(algorithm, OffPolicy):
        algorithm.turns.restore(state["turns"])
        algorithm.updates_owed = state["updates_owed"]
    return LearningProgress(**state["progress"])


def progress_of(folder: str) -> LearningProgress:
    """How far the learning was at a checkpoint. Raises RapportError when the folder is not complete."""
    return LearningProgress(**read_state(folder)["progress"])


def checkpoint_folder(folder: str, iteration: int) -> str:
    """Where the checkpoint of an iteration lies; names sort as iterations do."""
    return storage.join(folder, CHECKPOINTS, f"iteration-{iteration:06d}")


def newest(folder: str) -> str | None:
    """The newest complete checkpoint of a run."""
    return max(storage.completed(storage.join(folder, CHECKPOINTS), SHAPE), default=None)


def prune(folder: str, keep: str) -> None:
    """Remove all checkpoints of a run but one."""
    for found in storage.completed(storage.join(folder, CHECKPOINTS), SHAPE):
        if storage.resolve(found)[1] != storage.resolve(keep)[1]:
            storage.remove(found)
