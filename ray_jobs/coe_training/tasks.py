"""A planned stage as what is to be done: a training on files of examples, or rounds of self-training."""

from collections.abc import Mapping
from typing import Any

from rapport.ray_jobs.coe_training.config import TrainCoeConfig
from rapport.ray_jobs.coe_training.graph import BASE
from rapport.ray_jobs.coe_training.run_folder import PlannedStage
from rapport.ray_jobs.coe_training.sft import SftSettings, SftTask
from rapport.ray_jobs.coe_training.sources import Sources, sides_of
from rapport.ray_jobs.coe_training.steer.stage import PublishedFaults, SteerSetup
from rapport.ray_jobs.provenance import revision

Results = Mapping[str, Mapping[str, Any]]
"""Stage to what it came to: `model`, and of self-training `memory`."""


def sft_task(config: TrainCoeConfig, planned: PlannedStage, sources: Sources, before: Results) -> SftTask:
    """The training of a supervised stage; writes the examples that are drawn or put together for it into its folder."""
    memory = before[planned.stage.memory_of]["memory"] if planned.stage.memory_of else None
    train, validation = sides_of(config, planned, sources, memory)
    return SftTask(
        folder=planned.folder,
        model_folder=planned.model,
        label=label(config, planned),
        settings=_settings(config, planned),
        start_from=_started(planned, sources, before),
        train=train,
        validation=validation,
        tokenizer=sources.tokenizer,
        texts=sources.texts(),
        lineage=_lineage(config, planned, sources, before),
    )


def steer_setup(config: TrainCoeConfig, planned: PlannedStage, sources: Sources, before: Results) -> SteerSetup:
    """The rounds of a stage of self-training."""
    dataset = config.compat_dataset or sources.stores[0].corpus
    return SteerSetup(
        folder=planned.folder,
        label=label(config, planned),
        config=config.steer,
        settings=_settings(config, planned),
        start_from=_started(planned, sources, before),
        base=before[BASE]["model"] if BASE in before else sources.start_from,
        pool=sources.files("steer", "train"),
        seeds=sources.seeds(),
        validation=sources.files("steer", "validation"),
        seed=config.seed,
        workers=config.workers,
        rollouts=config.rollouts,
        tokenizer=sources.tokenizer,
        texts=sources.texts(),
        lineage=_lineage(config, planned, sources, before),
        published=PublishedFaults(dataset, config.compat_workers) if config.compat_bugs else None,
    )


def label(config: TrainCoeConfig, planned: PlannedStage) -> str:
    """What progress lines call a stage."""
    return f"{config.name} {planned.stage.name}"


def _settings(config: TrainCoeConfig, planned: PlannedStage) -> SftSettings:
    return SftSettings(
        model=config.model,
        trainable=config.trainable_in(planned.stage),
        training=config.training_of(planned.stage),
        seed=config.seed,
        tracking=config.tracking,
    )


def _started(planned: PlannedStage, sources: Sources, before: Results) -> str | None:
    """The model folder that a stage starts from; None is the base model."""
    if planned.stage.after:
        return str(before[planned.stage.after]["model"])
    return None if planned.stage.name == BASE else sources.start_from


def _lineage(config: TrainCoeConfig, planned: PlannedStage, sources: Sources, before: Results) -> dict[str, Any]:
    """What the model folder says that it was made from."""
    stage = planned.stage
    return {
        "run": config.name,
        "strategy": config.strategy,
        "stage": stage.name,
        "key": planned.key,
        "seed": config.seed,
        "after": {"stage": stage.after, "model": _started(planned, sources, before)},
        "memory_of": {"stage": stage.memory_of, "memory": before[stage.memory_of]["memory"]} if stage.memory_of else None,
        "stages": {name: result["key"] for name, result in before.items()},
        "data": sources.facts(),
        "revision": revision(),
    }
