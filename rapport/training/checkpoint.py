"""Checkpoints of a training: tensors as safetensors, everything else as JSON.

    state.safetensors    model/<weight>, mean/<weight>, best/<weight>, optimizer/<parameter>/<quantity>
    state.json           where the training stands, see `Progress` and the classes that add to it

No state of random generators is kept, because none carries over from step to step: everything drawn in a step (dropout, masks, mixup,
augmentation, order) comes from a seed that is a function of the run's seed and the step, on each worker.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors.torch
from torch import Tensor

from rapport.core import storage
from rapport.core.errors import RapportError

TENSORS = "state.safetensors"
PROGRESS = "state.json"


@dataclass
class Progress:
    """Where a training stands between two steps."""

    epoch: int = 0
    """Epochs finished, evaluated and reported."""
    batch: int = 0
    """Batches already taken from the epoch under way."""
    step: int = 0
    """Optimiser steps taken."""
    loss_sum: float = 0.0
    """Sum over the clips or tokens of the epoch under way, on all workers."""
    best_score: float | None = None
    """Best validation score so far; higher is better."""
    best_epoch: int | None = None
    stale: int = 0
    """Evaluations since the best one."""
    stopped: bool = False
    """Whether patience ran out."""
    seconds: float = 0.0
    """Time spent in training and evaluation."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record an epoch, as reported."""


@dataclass
class ClassifierProgress(Progress):
    """Where the training of a classifier stands."""

    confusion: list[list[int]] = field(default_factory=list)
    """What the clips of the epoch under way were called [E, E], on all workers."""
    domains_right: int = 0
    """How many of them had their corpus recognised."""


ProgressT = TypeVar("ProgressT", bound=Progress)


@dataclass(frozen=True)
class Checkpoint(Generic[ProgressT]):
    """A training as it was."""

    progress: ProgressT
    weights: dict[str, Tensor]
    """The learned weights."""
    optimizer: dict[str, Tensor]
    mean: dict[str, Tensor] | None
    """Their running mean, when one is kept."""
    best: dict[str, Tensor] | None
    """The weights selected so far."""

    def save(self, folder: str | Path) -> None:
        """Write both files, each whole or not at all, the tensors first: a folder that has `state.json` is complete."""
        sections: dict[str, Mapping[str, Tensor] | None] = {
            "model": self.weights,
            "mean": self.mean,
            "best": self.best,
            "optimizer": self.optimizer,
        }
        tensors = {
            f"{section}/{name}": tensor.detach().cpu().contiguous()
            for section, members in sections.items()
            for name, tensor in (members or {}).items()
        }
        # Tensors of many gigabytes are written as they are, not copied into one piece of memory first.
        storage.write_file(storage.join(folder, TENSORS), lambda path: safetensors.torch.save_file(tensors, path))
        storage.write_json(storage.join(folder, PROGRESS), asdict(self.progress))


def load_checkpoint(folder: str | Path, kind: type[ProgressT]) -> Checkpoint[ProgressT]:
    """The checkpoint that `Checkpoint.save` wrote, on the CPU, its progress of the given class.

    Raises RapportError when the folder holds none.
    """
    if not storage.exists(storage.join(folder, PROGRESS)):
        raise RapportError(f"{folder} holds no finished checkpoint: wanted {PROGRESS} and {TENSORS} in it")
    local = storage.local_copy(folder)
    progress = kind(**json.loads((local / PROGRESS).read_text(encoding="utf-8")))
    sections: dict[str, dict[str, Tensor]] = {}
    for key, tensor in safetensors.torch.load_file(local / TENSORS).items():
        section, _, name = key.partition("/")
        sections.setdefault(section, {})[name] = tensor
    return Checkpoint(progress, sections.get("model", {}), sections.get("optimizer", {}), sections.get("mean"), sections.get("best"))
