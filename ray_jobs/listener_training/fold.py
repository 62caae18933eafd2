"""One training: new, continued, or finished before. Imports ray and torch as it needs them."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.listener_training.config import FoldConfig
from rapport.ray_jobs.listener_training.run_folder import FREE, fold_folder, model_folder
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.training_runs import run_folder
from rapport.ray_jobs.training_runs.watch import watched

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback

_DATA = "data"


def is_finished(config: FoldConfig) -> bool:
    """Whether a training is over.

    Raises ConfigError when it was begun with other settings.
    """
    folder = fold_folder(config)
    state = run_folder.state_of(folder)
    if state != "new":
        run_folder.check_unchanged(folder, config, FREE)
    return state == "finished"


def train_fold(config: FoldConfig, data: str, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """The result of one training, which is also written down: from then on it is finished. Ray must be initialised.

    `data` is the folder of features that a new training reads; one that is continued goes on with its own.
    """
    from rapport.ray_jobs.listener_training.worker import train_worker
    from rapport.ray_jobs.training_runs.trainer import make_trainer

    folder = fold_folder(config)
    state = run_folder.state_of(folder)
    if state == "finished":
        return run_folder.finished_result(folder)
    if state == "new":
        run_folder.begin(folder, config, {_DATA: data})
    else:
        data = run_folder.sources_of(folder)[_DATA]
    run_folder.prune_checkpoints(folder)
    setup = {"config": config.model_dump(mode="json"), _DATA: data}
    trainer = make_trainer(train_worker, setup, config.workers, folder, callbacks)
    tell = partial(epoch_line, epochs=config.training.epochs)
    with nullcontext() if quiet else watched(folder, f"{config.name} {config.label}", tell):
        outcome: Any = trainer.fit()
    figures = outcome.return_value
    if "error" in figures:
        raise RapportError(figures["error"])
    run_folder.prune_checkpoints(folder)
    result = {"folder": folder, "model": model_folder(config), "revision": revision(), "resumed": state == "interrupted", **figures}
    storage.write_json(storage.join(folder, run_folder.RESULT), result)
    return result


def epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    """One epoch in a line."""
    validation = record["validation"]
    told = f"epoch {record['epoch']}/{epochs}  loss {record['train']['loss']:.3f}"
    if validation:
        told += f"  validation {figures_line(validation)}{'  best' if record['best'] else ''}"
    return f"{told}  {record['seconds']:.0f} s"


def figures_line(figures: Mapping[str, Any]) -> str:
    """What matters of the figures of a side, in words."""
    return f"error {figures['offset_removed_mae_deg']:.2f} deg (still head {figures['still_mae_deg']:.2f})  r {figures['correlation']:.2f}"
