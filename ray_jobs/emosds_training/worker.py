"""What each worker of a stage does: the loop of `rapport.training.sft`, told to Ray Train."""

from collections.abc import Mapping
from typing import Any

import ray.train.torch

from rapport.core.examples import Stage
from rapport.models.emosds.codebooks import find_codebook, keep_codebook
from rapport.models.emosds.lineage import Lineage
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.pretrained import build_model, from_pretrained, save_pretrained
from rapport.models.emosds.trainable import TrainableReport, apply_trainable
from rapport.ray_jobs.emosds_training.config import StageRunConfig
from rapport.ray_jobs.emosds_training.data import StageExamples, describe, language_data, read_stage, vocabulary_texts
from rapport.ray_jobs.emosds_training.run_folder import model_folder, stage_folder
from rapport.ray_jobs.emosds_training.sources import Sources
from rapport.ray_jobs.training_runs.run_folder import newest_checkpoint
from rapport.ray_jobs.training_runs.worker import open_tracker, reporter, told_errors
from rapport.training.checkpoint import load_checkpoint
from rapport.training.sft import LanguageProgress, LanguageResult, train_language_model
from rapport.training.weights import load_learned
from rapport.training.world import World

_SCALE_CLIPS = 200


def train_worker(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Train one stage, and on the first worker save its model; gives the figures, or `error` with what the user can mend.

    `setup` holds `config`, `sources`, `lineage` and `threads`.
    """
    config, sources = StageRunConfig.model_validate(setup["config"]), Sources.from_json(setup["sources"])
    lineage = Lineage.model_validate(setup["lineage"])
    return told_errors(lambda: _train(config, sources, lineage), setup["threads"])


def _train(config: StageRunConfig, sources: Sources, lineage: Lineage) -> dict[str, Any]:
    folder, world = stage_folder(config.storage, config.name, config.stage), World.current()
    found = newest_checkpoint(folder)
    checkpoint = load_checkpoint(found, LanguageProgress) if found else None
    model, report = start_model(config, sources)
    train, validation = read_stage(config, sources, model.collator())
    if checkpoint is None:
        fit_scale(model, train, config.stage)
    facts = {"sides": describe(train, validation), "parameters": report.total, "trained_parameters": report.trained, "parts": report.parts}
    tracker = open_tracker(config, folder, f"{config.name}-stage-{config.stage}", checkpoint) if world.rank == 0 else None
    result = train_language_model(
        model,
        language_data(train, validation),
        config.training,
        seed=config.seed,
        report=reporter(folder, tracker, flat_metrics),
        checkpoint=checkpoint,
        device=ray.train.torch.get_device(),
    )
    if tracker is None:
        return {}
    tracker.close()
    # Of a sharded model, this worker has a part: the whole is put together from what it started as and what it learned.
    whole = model if config.training.strategy == "ddp" else start_model(config, sources)[0]
    return {**facts, **save_model(whole, config, lineage, result)}


def start_model(config: StageRunConfig, sources: Sources) -> tuple[SpeechLanguageModel, TrainableReport]:
    """The model at the start of a stage, on the CPU, and which of its weights train."""
    if sources.predecessor is None:
        texts = vocabulary_texts(sources.examples, config.model) if config.model.is_embedded else ()
        model = build_model(config.model, texts, config.seed)
    else:
        model = from_pretrained(sources.predecessor)
        model.settings = config.model
    return model, apply_trainable(model, config.trainable, config.stage, config.seed)


def fit_scale(model: SpeechLanguageModel, train: StageExamples, stage: Stage) -> None:
    """Fit the scale of a learned injection in the first stage that hears residuals; weights that were learned on a scale keep it."""
    if model.settings.hears_residuals(stage) and model.wants_scale:
        model.fit_scale(train.residuals(_SCALE_CLIPS))


def save_model(model: SpeechLanguageModel, config: StageRunConfig, lineage: Lineage, result: LanguageResult) -> dict[str, Any]:
    """Write the model folder, with its codebook where there is one below the storage root; gives the figures that are saved beside it."""
    metrics = {
        "validation": result.validation,
        "epoch": result.epoch,
        "epochs": len(result.history),
        "stopped": result.stopped,
        "seconds": result.seconds,
    }
    load_learned(model, result.weights)
    lineage = lineage.model_copy(update={"tokens_hash": model.manifest.hash})
    folder = model_folder(config.storage, config.name, config.stage)
    if (codebook := find_codebook(config.storage, lineage.codebook_hash)) is not None:
        keep_codebook(folder, codebook)
    save_pretrained(model, folder, lineage=lineage, metrics=metrics)
    return metrics


def flat_metrics(record: Mapping[str, Any]) -> dict[str, Any]:
    """What Ray hears of an epoch: `epoch`, `train_loss`, and `loss` and `teacher_forced_token_accuracy` of validation."""
    figures = record["validation"] or {}
    chosen = {name: figures[name] for name in ("loss", "teacher_forced_token_accuracy") if name in figures}
    return {"epoch": record["epoch"], "train_loss": record["train"]["loss"], **chosen}
