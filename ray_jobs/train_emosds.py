"""Train the speech language model, in three stages: speech to words; to emotion and words; to those and a reply with its emotion.

    python -m rapport.ray_jobs.train_emosds --config embedded --name first
    python -m rapport.ray_jobs.train_emosds --config llama-3.2-3b --stage 2 --stage-2.training.strategy fsdp --workers.count 8
    ray job submit --working-dir . -- python -m rapport.ray_jobs.train_emosds --config llama-3.2-3b-lora --storage s3://bucket/rapport

It reads what build_emosds and extract_features made. Kill it and run it again: the stage that was under way goes on from its last
checkpoint, within an epoch too, and under another strategy or number of workers if you like; finished stages are left as they are.
`--fresh` begins anew and moves earlier runs aside. A stage refuses to go on with other examples or units than it was begun on, and a model
before it that was made from another codebook, other tokens or at another stage.
The models (the best epoch on validation) lie in <storage>/models/emosds/<name>-stage-<n>/; curves and settings in
<storage>/runs/train_emosds/<name>/stage-<n>/. Figures told here are teacher-forced; evaluate_emosds lets the model speak freely.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from rapport.core.examples import Stage
from rapport.ray_jobs.emosds_training.config import TrainEmosdsConfig, resolved, stage_run
from rapport.ray_jobs.runtime import job, start_ray

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback


def run(config: TrainEmosdsConfig) -> dict[str, Any]:
    """The folders of the run and of its last model, and the figures of every stage."""
    return train(config)


def train(config: TrainEmosdsConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """As `run`; `callbacks` hear every epoch's figures of the last stage (see `flat_metrics`), as a search wants. Starts or joins Ray."""
    from rapport.ray_jobs.emosds_training.run_folder import model_folder, runs_folder, stage_folder
    from rapport.ray_jobs.training_runs.run_folder import set_aside

    config = resolved(config)
    if config.fresh:
        for stage in config.stages:
            for earlier in (stage_folder(config.storage, config.name, stage), model_folder(config.storage, config.name, stage)):
                if aside := set_aside(earlier):
                    _say(f"moved the earlier {earlier} to {aside}", quiet)
    last = config.stages[-1]
    stages = {str(stage): train_stage(config, stage, callbacks=callbacks if stage == last else (), quiet=quiet) for stage in config.stages}
    return {
        "folder": runs_folder(config.storage, config.name),
        "name": config.name,
        "model": model_folder(config.storage, config.name, last),
        **{figure: stages[str(last)][figure] for figure in ("validation", "epochs")},
        "stages": stages,
    }


def for_search(config: TrainEmosdsConfig) -> TrainEmosdsConfig:
    """The same settings for a trial of a search: what it reads named by folder, as trials have storage roots of their own, and the epoch
    with the lowest loss selected, which is what a search looks at.
    """
    from rapport.core.config import with_values
    from rapport.ray_jobs.emosds_training.sources import find_sources

    config = resolved(config)
    sources = find_sources(config, config.stages[0])
    select = {f"stage_{config.stages[-1]}.training.{name}": value for name, value in (("selection", "best"), ("select_by", "loss"))}
    return with_values(config, {"data": sources.examples, "units": sources.units, "start_from": sources.predecessor or "", **select})


def train_stage(config: TrainEmosdsConfig, stage: Stage, *, callbacks: Sequence["UserCallback"], quiet: bool) -> dict[str, Any]:
    """The result of one stage, trained now or before."""
    from rapport.core.errors import RapportError
    from rapport.ray_jobs.emosds_training import sources as made_from
    from rapport.ray_jobs.emosds_training.run_folder import FREE, stage_folder
    from rapport.ray_jobs.training_runs import run_folder
    from rapport.ray_jobs.training_runs.watch import epoch_line, watched

    folder = stage_folder(config.storage, config.name, stage)
    state = run_folder.state_of(folder)
    sources = made_from.find_sources(config, stage)
    if state != "new":
        begun = made_from.Sources.from_json(run_folder.sources_of(folder))
        made_from.check_begun(begun, sources, stage)
        sources = begun
    settings = stage_run(config, stage, made_from.fitted_model(config.model, sources))
    lineage = made_from.check_lineage(settings.model, sources, stage)
    if state != "new":
        run_folder.check_unchanged(folder, settings, FREE)
    if state == "finished":
        _say(f"stage {stage} of {config.name} is finished: this is its result (--fresh trains it anew)", quiet)
        return run_folder.finished_result(folder)
    for warning in made_from.overlaps(sources, lineage, stage):
        _say(f"warning: {warning}", quiet)
    if state == "new":
        run_folder.begin(folder, settings, asdict(sources))
        _say(f"stage {stage} starts from {sources.predecessor or settings.model.base}", quiet)
    else:
        _say(f"stage {stage} continues from {run_folder.newest_checkpoint(folder)}", quiet)
    run_folder.prune_checkpoints(folder)
    with start_ray():
        from rapport.ray_jobs.emosds_training.worker import train_worker
        from rapport.ray_jobs.training_runs.trainer import make_trainer

        setup = {"config": settings.model_dump(mode="json"), "sources": asdict(sources), "lineage": lineage.model_dump(mode="json")}
        trainer = make_trainer(train_worker, setup, config.workers, folder, callbacks)
        name = "teacher-forced accuracy"
        tell = partial(epoch_line, epochs=settings.training.epochs, figure="teacher_forced_token_accuracy", name=name)
        with nullcontext() if quiet else watched(folder, f"{config.name} stage {stage}", tell):
            outcome: Any = trainer.fit()
    figures = outcome.return_value
    if "error" in figures:
        raise RapportError(figures["error"])
    run_folder.prune_checkpoints(folder)
    return _finish(config, stage, folder, figures, resumed=state == "interrupted", quiet=quiet)


def _finish(config: TrainEmosdsConfig, stage: Stage, folder: str, figures: dict[str, Any], *, resumed: bool, quiet: bool) -> dict[str, Any]:
    """The result of a stage, which is also written down: from then on it is finished."""
    from rapport.core import storage
    from rapport.models.emosds.codebooks import holds_codebook
    from rapport.ray_jobs.emosds_training.data import told
    from rapport.ray_jobs.emosds_training.run_folder import model_folder
    from rapport.ray_jobs.provenance import revision
    from rapport.ray_jobs.training_runs.run_folder import RESULT

    for line in told(figures["sides"]):
        _say(line, quiet)
    parts = ", ".join(f"{part} {count:,}" for part, count in figures["parts"].items())
    model = model_folder(config.storage, config.name, stage)
    if not holds_codebook(model) and config.model.inputs != "text":
        _say(f"no codebook of these units below {config.storage}: name its folder when the model is to hear speech (--codebook)", quiet)
    _say(f"{figures['trained_parameters']:,} of {figures['parameters']:,} parameters trained: {parts}", quiet)
    result = {
        "folder": folder,
        "model": model,
        "stage": stage,
        "revision": revision(),
        "seed": config.seed,
        "resumed": resumed,
        **figures,
    }
    storage.write_json(storage.join(folder, RESULT), result)
    return result


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(TrainEmosdsConfig, run)
