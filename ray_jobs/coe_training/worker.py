"""What each worker of a training on examples does: the loop of `rapport.training.sft`, told to Ray Train."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ray.train.torch

from rapport.core.conversations import TASKS, ErcExample
from rapport.core.errors import RapportError
from rapport.datasets.conversations.examples import read_records
from rapport.models.erc.collate import ErcCollator, ErcData
from rapport.models.erc.model import ErcModel, TrainableReport, apply_trainable
from rapport.models.erc.pretrained import build_model, from_pretrained, save_pretrained
from rapport.ray_jobs.coe_training.sft import SftTask
from rapport.ray_jobs.training_runs.run_folder import newest_checkpoint
from rapport.ray_jobs.training_runs.worker import open_tracker, reporter, told_errors
from rapport.training.checkpoint import load_checkpoint
from rapport.training.sft import LanguageData, LanguageProgress, LanguageResult, train_language_model
from rapport.training.weights import load_learned
from rapport.training.world import World


def train_worker(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Train on the examples of a task, and on the first worker save the model; gives the figures, or `error` with what the user can mend.

    `setup` holds `task` and `threads`.
    """
    task = SftTask.from_json(setup["task"])
    return told_errors(lambda: _train(task), setup["threads"])


def _train(task: SftTask) -> dict[str, Any]:
    config, world = task.settings, World.current()
    found = newest_checkpoint(task.folder)
    checkpoint = load_checkpoint(found, LanguageProgress) if found else None
    train, validation = read_files(task.train), read_files(task.validation)
    if not train:
        raise RapportError(
            f"{task.label}: {', '.join(task.train) or 'no file'} holds no example to train on: build some, or train without it"
        )
    model, report = start_model(task)
    facts = {"parameters": report.total, "trained_parameters": report.trained, "parts": report.parts}
    data, sides = language_data(train, validation, model.collator())
    tracker = open_tracker(config, task.folder, task.label, checkpoint) if world.rank == 0 else None
    result = train_language_model(
        model,
        data,
        config.training,
        seed=config.seed,
        report=reporter(task.folder, tracker, flat_metrics),
        checkpoint=checkpoint,
        device=ray.train.torch.get_device(),
    )
    if tracker is None:
        return {}
    tracker.close()
    # Of a sharded model, this worker has a part: the whole is put together from what it started as and what it learned.
    whole = model if config.training.strategy == "ddp" else start_model(task)[0]
    return {**facts, "sides": sides, **save_model(whole, task, result)}


def read_files(paths: Sequence[str]) -> list[ErcExample]:
    """The examples of several files, one file after the other."""
    return [example for path in paths for example in read_records(path)]


def start_model(task: SftTask) -> tuple[ErcModel, TrainableReport]:
    """The model before the training, on the CPU, and which of its weights train."""
    settings = task.settings.model
    if task.start_from is None:
        untold = settings.is_embedded and task.tokenizer is None
        texts = [text for example in read_files(task.texts) for text in (example.input, example.target)] if untold else ()
        model = build_model(settings, texts, task.settings.seed, tokenizer=task.tokenizer)
    else:
        model = from_pretrained(task.start_from)
        model.settings = settings
        if settings.attention != "default":
            model.set_attention(settings.attention)
    return model, apply_trainable(model, task.settings.trainable, task.settings.seed)


def language_data(
    train: Sequence[ErcExample], validation: Sequence[ErcExample], collator: ErcCollator
) -> tuple[LanguageData, dict[str, Any]]:
    """Both sides for the loop, and of each: `examples`, `tokens`, how many are of each task (`tasks`), and `ids`, sha256 over the ids in
    their order: which examples these were. Raises RapportError for an example that is too long.
    """
    of_task = {task: np.array([place for place, e in enumerate(validation) if e.task == task], np.int64) for task in TASKS}
    sides = {"train": (train, ErcData(train, collator))}
    if validation:
        sides["validation"] = (validation, ErcData(validation, collator))
    told = {
        side: {
            "examples": len(examples),
            "tokens": int(data.lengths.sum()),
            "tasks": dict(Counter(example.task for example in examples)),
            "ids": hashlib.sha256("\n".join(data.example_ids).encode()).hexdigest(),
        }
        for side, (examples, data) in sides.items()
    }
    held_out = sides["validation"][1] if validation else None
    return LanguageData(sides["train"][1], held_out, {task: places for task, places in of_task.items() if len(places)}), told


def save_model(model: ErcModel, task: SftTask, result: LanguageResult) -> dict[str, Any]:
    """Write the model folder; gives the figures that are saved beside it."""
    metrics = {
        "validation": result.validation,
        "epoch": result.epoch,
        "epochs": len(result.history),
        "stopped": result.stopped,
        "seconds": result.seconds,
    }
    load_learned(model, result.weights)
    save_pretrained(model, task.model_folder, facts=task.lineage, metrics=metrics)
    return metrics


def flat_metrics(record: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray hears of an epoch: `epoch`, `train_loss`, and `loss` and `teacher_forced_token_accuracy` of validation."""
    figures = record["validation"] or {}
    chosen = {name: figures[name] for name in ("loss", "teacher_forced_token_accuracy") if name in figures}
    return {"epoch": record["epoch"], "train_loss": record["train"]["loss"], **chosen}
