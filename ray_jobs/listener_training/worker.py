"""What the worker of a training does: the plain loop of `rapport.training.motion`, told to Ray Train."""

from collections.abc import Mapping
from typing import Any

import ray.train.torch
import torch

from rapport.datasets.listener.build import MotionStore, open_motion
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import save_pretrained
from rapport.ray_jobs.listener_training.config import FoldConfig
from rapport.ray_jobs.listener_training.data import Sides, as_turns, describe, divide, usable_turns
from rapport.ray_jobs.listener_training.run_folder import fold_folder, model_folder
from rapport.ray_jobs.training_runs.run_folder import newest_checkpoint
from rapport.ray_jobs.training_runs.worker import open_tracker, reporter, told_errors
from rapport.training.checkpoint import load_checkpoint
from rapport.training.motion import MotionData, MotionProgress, MotionResult, train_motion
from rapport.training.motion_evaluation import BRIEF, motion_figures


def train_worker(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Train one fold and save its model; gives the figures, or `error` with what the user can mend.

    `setup` holds `config`, `data` (a folder) and `threads`.
    """
    config = FoldConfig.model_validate(setup["config"])
    return told_errors(lambda: _train(config, setup["data"]), setup["threads"])


def _train(config: FoldConfig, data: str) -> dict[str, Any]:
    folder = fold_folder(config)
    store = open_motion(data)
    sides = divide(usable_turns(data, store), config.fold)
    found = newest_checkpoint(folder)
    checkpoint = load_checkpoint(found, MotionProgress) if found else None
    model = start_model(config, store).to(ray.train.torch.get_device())
    tracker = open_tracker(config, folder, f"{config.name}-{config.label}", checkpoint)
    turns = MotionData(*(as_turns(store, side, config.model.pose) for side in (sides.train, sides.validation)))
    result = train_motion(
        model, turns, config.training, seed=config.seed, report=reporter(folder, tracker, flat_metrics), checkpoint=checkpoint
    )
    tracker.close()
    return save_model(model, config, store, sides, result)


def start_model(config: FoldConfig, store: MotionStore) -> HeadMotionModel:
    """The model at its start: the same weights for the same seed and settings, whichever fold it is and whatever was trained before."""
    torch.manual_seed(config.seed)
    return HeadMotionModel(config.model, width=store.width, front_end_identity=store.front_end)


def save_model(model: HeadMotionModel, config: FoldConfig, store: MotionStore, sides: Sides, result: MotionResult) -> dict[str, Any]:
    """Write the model folder; gives the figures that are saved beside it. The held-out session is looked at here and nowhere else."""
    metrics: dict[str, Any] = {
        "fold": config.fold,
        "seed": config.seed,
        "data": store.folders[0],
        "sides": describe(sides, store),
        "validation": result.validation,
        "test": motion_figures(model, as_turns(store, sides.test, config.model.pose), config.training)
        if config.test and sides.test
        else None,
        "epoch": result.epoch,
        "epochs": len(result.history),
        "stopped": result.stopped,
        "seconds": result.seconds,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    save_pretrained(model.cpu(), model_folder(config), metrics=metrics)
    return metrics


def flat_metrics(record: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray hears of an epoch: `epoch`, `train_loss`, and of validation `loss` and the figures of `BRIEF`."""
    figures = record["validation"] or {}
    chosen = {name: figures[name] for name in ("loss", *BRIEF) if name in figures}
    return {"epoch": record["epoch"], "train_loss": record["train"]["loss"], **chosen}
