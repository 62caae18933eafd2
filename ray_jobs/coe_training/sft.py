"""One training of a language model on files of examples: what every stage of the curriculum, and every round of self-training, is made of.

    result = train_sft(SftTask(folder, model_folder, "first erc", settings, start_from, (train,), (validation,)), WorkersConfig())

Its run folder is as `rapport.ray_jobs.training_runs.run_folder` lays it out. Run again, an interrupted training goes on from its last
checkpoint, within an epoch too, and a finished one gives its result. Imports neither torch nor ray before it trains.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.models.erc.model_config import ErcModelConfig, ErcTrainableConfig
from rapport.ray_jobs.training_runs import run_folder
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.training.config import TrackingConfig
from rapport.training.sft_config import SftConfig

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback


class SftSettings(Config):
    """How one language model is trained, as its run folder keeps it."""

    model: ErcModelConfig = ErcModelConfig()
    """The model."""
    trainable: ErcTrainableConfig = ErcTrainableConfig()
    """Which weights are learned."""
    training: SftConfig = SftConfig()
    """The training."""
    seed: int = 0
    """Seed of everything random."""
    tracking: TrackingConfig = TrackingConfig()
    """Curves."""


@dataclass(frozen=True, slots=True)
class SftTask:
    """One training, and where everything that it reads and writes lies. Paths are absolute, or URIs."""

    folder: str
    """The run folder: settings, checkpoints, curves."""
    model_folder: str
    """Where the model is saved."""
    label: str
    """What progress lines call it, as `first steer round 3`."""
    settings: SftSettings
    start_from: str | None
    """The model folder before it; None is the base model."""
    train: tuple[str, ...]
    """Files of examples (JSON Lines)."""
    validation: tuple[str, ...]
    """Likewise; empty for a training that selects its last epoch."""
    tokenizer: str | None = None
    """Folder of the tokenizer of the embedded base; others bring their own."""
    texts: tuple[str, ...] = ()
    """Files of examples whose texts train the tokenizer of the embedded base where there is no folder of one."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """What the model is made from (JSON): goes into its config.json under `facts`."""

    def to_json(self) -> dict[str, Any]:
        """The task for another process."""
        return {**asdict(self), "settings": self.settings.model_dump(mode="json")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SftTask":
        """What `to_json` gave, after a way through JSON."""
        lists = {name: tuple(value[name]) for name in ("train", "validation", "texts")}
        return cls(**{**value, **lists, "settings": SftSettings.model_validate(value["settings"])})


def train_sft(task: SftTask, workers: WorkersConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """What the training came to, now or before: `validation` (figures of the selected epoch, with `per_task`), `epoch` (the selected),
    `epochs`, `stopped`, `seconds`, `parameters`, `trained_parameters`, `parts`, `sides`, `model`, `seed`,
    `revision`, `resumed`.

    `callbacks` hear every epoch's figures (see `worker.flat_metrics`). Ray must be running. Raises RapportError for what the user can mend.
    """
    from rapport.ray_jobs.coe_training.worker import train_worker
    from rapport.ray_jobs.provenance import revision
    from rapport.ray_jobs.training_runs.trainer import make_trainer
    from rapport.ray_jobs.training_runs.watch import epoch_line, watched

    state = run_folder.state_of(task.folder)
    if state == "finished":
        return run_folder.finished_result(task.folder)
    if state == "new":
        sources = {"start_from": task.start_from, "train": list(task.train), "validation": list(task.validation), "lineage": task.lineage}
        run_folder.begin(task.folder, task.settings, sources)
        said = f"{task.label} starts from {task.start_from or task.settings.model.base}"
    else:
        said = f"{task.label} continues from {run_folder.newest_checkpoint(task.folder)}"
    if not quiet:
        print(said, file=sys.stderr, flush=True)
    run_folder.prune_checkpoints(task.folder)
    trainer = make_trainer(train_worker, {"task": task.to_json()}, workers, task.folder, callbacks)
    name = "teacher-forced accuracy"
    tell = partial(epoch_line, epochs=task.settings.training.epochs, figure="teacher_forced_token_accuracy", name=name)
    with nullcontext() if quiet else watched(task.folder, task.label, tell):
        outcome: Any = trainer.fit()
    figures = outcome.return_value
    if "error" in figures:
        raise RapportError(figures["error"])
    run_folder.prune_checkpoints(task.folder)
    result = {"model": task.model_folder, "revision": revision(), "seed": task.settings.seed, "resumed": state == "interrupted", **figures}
    storage.write_json(storage.join(task.folder, run_folder.RESULT), result)
    return result
