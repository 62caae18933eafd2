"""What each worker of a training does: the plain loop of `rapport.training.classifier`, told to Ray Train."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import ray.train.torch
import torch
from torch import nn

from rapport.core import storage
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.ray_jobs.reports.confusion import confusion_figure, pixels
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.ser_training.data import Sources, build_data, spread
from rapport.ray_jobs.ser_training.run_folder import model_folder, run_folder
from rapport.ray_jobs.training_runs.run_folder import newest_checkpoint
from rapport.ray_jobs.training_runs.worker import open_tracker, reporter, told_errors
from rapport.training.checkpoint import ClassifierProgress, load_checkpoint
from rapport.training.classifier import ClassifierResult, train_classifier
from rapport.training.clips import ClassifierData
from rapport.training.weights import load_learned
from rapport.training.world import World

LAST = "last"
"""Folder inside the model's that holds the weights after the last step."""
_NORMALISING_CLIPS = 2000


def train_worker(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Train, and on the first worker save the model; gives the figures, or `error` with what the user can mend.

    `setup` holds `config`, `sources` and `threads`.
    """
    config, sources = TrainSerConfig.model_validate(setup["config"]), Sources.from_json(setup["sources"])
    return told_errors(lambda: _train(config, sources), setup["threads"])


def _train(config: TrainSerConfig, sources: Sources) -> dict[str, Any]:
    folder, world = run_folder(config), World.current()
    data = build_data(config, sources)
    found = newest_checkpoint(folder)
    checkpoint = load_checkpoint(found, ClassifierProgress) if found else None
    model = build_model(config, data, fit=checkpoint is None)

    def draw(confusion: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        return pixels(confusion_figure(confusion, config.model.emotions))

    tracker = open_tracker(config, folder, config.name, checkpoint, draw) if world.rank == 0 else None
    result = train_classifier(
        model,
        data,
        config.training,
        seed=config.seed,
        report=reporter(folder, tracker, flat_metrics),
        checkpoint=checkpoint,
        wrap=_wrap(config),
        world=world,
    )
    if tracker is None:
        return {}
    tracker.close()
    return save_model(model, config, result)


def build_model(config: TrainSerConfig, data: ClassifierData, *, fit: bool) -> SpeechEmotionClassifier:
    """The classifier at its start; `fit` sets the embedded encoder's input scale from the training clips."""
    torch.manual_seed(config.seed)
    model = SpeechEmotionClassifier(config.model)
    if fit:
        model.fit_normalisation(spread(data.train, _NORMALISING_CLIPS))
    return model


def save_model(model: SpeechEmotionClassifier, config: TrainSerConfig, result: ClassifierResult) -> dict[str, Any]:
    """Write the model folder, with the last weights inside it; gives the figures that are saved beside them."""
    folder = model_folder(config)
    metrics: dict[str, Any] = {
        "validation": result.validation.full(config.seed) if result.validation else None,
        "tests": {name: predictions.full(config.seed) for name, predictions in result.tests.items()},
        "epoch": result.epoch,
        "epochs": len(result.history),
        "stopped": result.stopped,
        "seconds": result.seconds,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    model.save_pretrained(folder, metrics=metrics)
    load_learned(model, result.last)
    model.save_pretrained(storage.join(folder, LAST))
    return metrics


def _wrap(config: TrainSerConfig) -> Callable[[nn.Module], nn.Module]:
    # Layer drop leaves whole layers out of a step, which DDP must be told.
    skips = config.model.encoder.layer_drop > 0
    return lambda model: ray.train.torch.prepare_model(model, parallel_strategy_kwargs={"find_unused_parameters": True} if skips else None)


def flat_metrics(record: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray hears of an epoch: `epoch`, `train_loss`, `train_uar`, and `uar`, `wa`, `macro_f1`, `loss` of validation."""
    figures = record["validation"] or {}
    chosen = {name: figures[name] for name in ("uar", "wa", "macro_f1", "loss") if name in figures}
    return {"epoch": record["epoch"], "train_loss": record["train"]["loss"], "train_uar": record["train"]["uar"], **chosen}
