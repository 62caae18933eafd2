"""Train a language model that tells emotions in conversations: the stages of a strategy, each from the model of the one before.

    python -m rapport.ray_jobs.train_coe --config embedded --name first
    python -m rapport.ray_jobs.train_coe --config embedded --strategy mixed --name both
    python -m rapport.ray_jobs.train_coe --config mistral-7b --data meld --workers.count 8 --erc.training.strategy fsdp
    ray job submit --working-dir . -- python -m rapport.ray_jobs.train_coe --config llama-3.1-8b --storage s3://bucket/rapport

It reads what build_coe made. A stage is known by what it is made from: one that was finished for any run is used again, and one that was
interrupted goes on from its last checkpoint or round, so that strategies share the stages that they have in common. `--fresh` begins anew
and moves the stages of this run aside. The test side is never read: evaluate_coe does that, once the epochs are chosen on validation.
The model of the last stage lies in <storage>/models/coe/<name>/; which stages it came through in <storage>/runs/train_coe/<name>/, and
their curves, settings and models in <storage>/runs/train_coe/stages/. Figures told here are teacher-forced.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rapport.ray_jobs.coe_training.config import TrainCoeConfig, resolved
from rapport.ray_jobs.runtime import job, start_ray

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback

    from rapport.ray_jobs.coe_training.run_folder import PlannedStage
    from rapport.ray_jobs.coe_training.sources import Sources


def run(config: TrainCoeConfig) -> dict[str, Any]:
    """The folders of the run and of its model, and the figures of every stage."""
    return train(config)


def train(config: TrainCoeConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """As `run`; `callbacks` hear every epoch's figures of the last stage (see `flat_metrics`), as a search wants. Starts or joins Ray."""
    from rapport.ray_jobs.coe_training.run_folder import check_same_run, model_folder, runs_folder, write_graph
    from rapport.ray_jobs.coe_training.sources import find_sources, plan
    from rapport.ray_jobs.training_runs.run_folder import set_aside

    config = resolved(config)
    sources = find_sources(config)
    planned = plan(config, sources)
    folder, model = runs_folder(config.storage, config.name), model_folder(config.storage, config.name)
    if config.fresh:
        for earlier in (*(stage.folder for stage in planned), folder, model):
            if aside := set_aside(earlier):
                _say(f"moved the earlier {earlier} to {aside}", quiet)
    check_same_run(config, planned)
    write_graph(config, planned)
    results: dict[str, dict[str, Any]] = {}
    with start_ray():
        for each in planned:
            hears = callbacks if each is planned[-1] else ()
            results[each.stage.name] = train_stage(config, each, sources, results, callbacks=hears, quiet=quiet)
    last = planned[-1]
    _publish(config, last, results[last.stage.name]["model"], model)
    return {
        "folder": folder,
        "name": config.name,
        "strategy": config.strategy,
        "model": model,
        **{figure: results[last.stage.name][figure] for figure in ("validation", "epochs")},
        "stages": results,
    }


def for_search(config: TrainCoeConfig) -> TrainCoeConfig:
    """The same settings for a trial of a search: what it reads named by folder, as trials have storage roots of their own, and the epoch
    of the last stage with the lowest loss selected, which is what a search looks at.

    Where the stages before the last one are finished, trials take them over; else each trial trains its own, as two at once may not.
    """
    from rapport.core.config import with_values
    from rapport.ray_jobs.coe_training.run_folder import stages_folder
    from rapport.ray_jobs.coe_training.sources import find_sources, plan
    from rapport.ray_jobs.training_runs.run_folder import state_of

    config = resolved(config)
    sources = find_sources(config)
    ready = all(state_of(each.folder) == "finished" for each in plan(config, sources)[:-1])
    values = {
        "data": tuple(store.folder for store in sources.stores),
        "start_from": sources.start_from or "",
        "stages": stages_folder(config) if ready else config.stages,
        "erc.training.selection": "best",
        "erc.training.select_by": "loss",
    }
    return with_values(config, values)


def train_stage(
    config: TrainCoeConfig,
    planned: "PlannedStage",
    sources: "Sources",
    before: Mapping[str, Mapping[str, Any]],
    *,
    callbacks: Sequence["UserCallback"] = (),
    quiet: bool = False,
) -> dict[str, Any]:
    """The result of one stage, trained now or before, for this run or another, given those of the stages before it. Ray must be running."""
    from rapport.core import storage
    from rapport.ray_jobs.coe_training.sft import train_sft
    from rapport.ray_jobs.coe_training.steer.stage import run_steer
    from rapport.ray_jobs.coe_training.tasks import label, sft_task, steer_setup
    from rapport.ray_jobs.training_runs import run_folder

    name = label(config, planned)
    if run_folder.state_of(planned.folder) == "finished":
        _say(f"{name} is finished: this is its result (--fresh trains it anew)", quiet)
        figures = run_folder.finished_result(planned.folder)
    elif planned.stage.kind == "steer":
        figures = run_steer(steer_setup(config, planned, sources, before), quiet=quiet)
        storage.write_json(storage.join(planned.folder, run_folder.RESULT), figures)
    else:
        figures = train_sft(sft_task(config, planned, sources, before), config.workers, callbacks=callbacks, quiet=quiet)
        sides = ", ".join(f"{told['examples']} examples for {side}" for side, told in figures["sides"].items())
        parts = ", ".join(f"{part} {count:,}" for part, count in figures["parts"].items())
        _say(f"{name}: {sides}; {figures['trained_parameters']:,} of {figures['parameters']:,} parameters trained: {parts}", quiet)
    return {**figures, "folder": planned.folder, "stage": planned.stage.name, "key": planned.key}


def _publish(config: TrainCoeConfig, last: "PlannedStage", source: str, target: str) -> None:
    """Copy the last stage's model to where models lie, unless it is there: evaluations may have been written beside it since."""
    from rapport.core import storage
    from rapport.models.erc.pretrained import copy_pretrained

    found = storage.join(target, "config.json")
    if storage.exists(found) and storage.read_json(found).get("facts", {}).get("key") == last.key:
        return
    # A small base that was trained here goes along; a published one is found by its name.
    facts = {"run": config.name, "strategy": config.strategy}
    copy_pretrained(source, target, with_base=config.model.is_embedded, facts=facts)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(TrainCoeConfig, run)
