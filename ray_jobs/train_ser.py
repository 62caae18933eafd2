"""Train a speech emotion classifier on prepared corpora, with Ray Train.

    python -m rapport.ray_jobs.train_ser --config embedded --name first --corpora ravdess
    python -m rapport.ray_jobs.train_ser --config hubert-base-frozen --corpora ravdess,cremad --noise musan
    ray job submit --working-dir . -- python -m rapport.ray_jobs.train_ser --config wavlm-large-lora --storage s3://bucket/rapport

Kill it and run it again: it goes on from its last checkpoint, within an epoch too, and ends as if it had not been killed. `--fresh` begins
anew and moves the earlier run aside. The model (the best epoch on validation) lies in <storage>/models/ser/<name>/, the last epoch's in
its folder `last`; curves, confusions and settings in <storage>/runs/train_ser/<name>/. Test clips are looked at once, at the end.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from rapport.ray_jobs.runtime import job, start_ray
from rapport.ray_jobs.ser_training.config import TrainSerConfig, resolved

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback


def run(config: TrainSerConfig) -> dict[str, Any]:
    """The folders of the run and of its model, and its figures on validation and test clips."""
    return train(config)


def train(config: TrainSerConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """As `run`; `callbacks` hear every epoch's figures (see `flat_metrics`), as a search wants. Starts or joins Ray."""
    from rapport.core.errors import RapportError
    from rapport.ray_jobs.ser_training import data
    from rapport.ray_jobs.ser_training.run_folder import FREE, model_folder
    from rapport.ray_jobs.ser_training.run_folder import run_folder as folder_of
    from rapport.ray_jobs.training_runs import run_folder
    from rapport.ray_jobs.training_runs.watch import epoch_line, watched

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    config = resolved(config)
    folder = folder_of(config)
    if config.fresh:
        for earlier in (folder, model_folder(config)):
            if aside := run_folder.set_aside(earlier):
                say(f"moved the earlier {earlier} to {aside}")
    state = run_folder.state_of(folder)
    if state != "new":
        run_folder.check_unchanged(folder, config, FREE)
    if state == "finished":
        say(f"{config.name} is finished: this is its result (--fresh trains it anew)")
        return run_folder.finished_result(folder)
    sources = data.Sources.from_json(run_folder.sources_of(folder)) if state == "interrupted" else data.find_sources(config)
    facts = data.describe(data.select_rows(config, sources), config.model.emotions)
    for line in data.told(facts):
        say(line)
    if state == "new":
        run_folder.begin(folder, config, asdict(sources))
    else:
        say(f"continuing from {run_folder.newest_checkpoint(folder)}")
    run_folder.prune_checkpoints(folder)
    with start_ray():
        from rapport.ray_jobs.ser_training.worker import train_worker
        from rapport.ray_jobs.training_runs.trainer import make_trainer

        setup = {"config": config.model_dump(mode="json"), "sources": asdict(sources)}
        trainer = make_trainer(train_worker, setup, config.workers, folder, callbacks)
        tell = partial(epoch_line, epochs=config.training.epochs, figure="uar", name="UAR")
        with nullcontext() if quiet else watched(folder, config.name, tell):
            outcome: Any = trainer.fit()
    figures = outcome.return_value
    if "error" in figures:
        raise RapportError(figures["error"])
    run_folder.prune_checkpoints(folder)
    return _finish(config, folder, facts, figures, resumed=state == "interrupted")


def _finish(config: TrainSerConfig, folder: str, facts: dict[str, Any], figures: dict[str, Any], *, resumed: bool) -> dict[str, Any]:
    """The result of a training, which is also written down: from then on the run is finished."""
    from rapport.core import storage
    from rapport.ray_jobs.provenance import revision
    from rapport.ray_jobs.ser_training.run_folder import model_folder
    from rapport.ray_jobs.training_runs.run_folder import RESULT

    result = {
        "folder": folder,
        "model": model_folder(config),
        "name": config.name,
        "revision": revision(),
        "seed": config.seed,
        "resumed": resumed,
        **facts,
        **{key: figures[key] for key in ("epoch", "epochs", "stopped", "seconds", "parameters", "trained_parameters")},
        "validation": brief(figures["validation"]),
        "tests": {name: brief(metrics) for name, metrics in figures["tests"].items()},
    }
    storage.write_json(storage.join(folder, RESULT), result)
    return result


def for_search(config: TrainSerConfig) -> TrainSerConfig:
    """The same settings for a trial of a search: corpora named by folder, as trials have storage roots of their own, and no test."""
    from rapport.core.config import with_values
    from rapport.ray_jobs.ser_training.data import find_sources

    sources = find_sources(config)
    return with_values(config, {"corpora": sources.corpora, "test_corpora": (), "noise": sources.noise, "test": False})


def brief(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures of a set in a few numbers."""
    if metrics is None:
        return None
    chosen = {name: metrics[name] for name in ("uar", "wa", "macro_f1", "count")}
    return {**chosen, "uar_interval": metrics["interval"]["uar"], "per_corpus": {k: v["uar"] for k, v in metrics["per_corpus"].items()}}


if __name__ == "__main__":
    job(TrainSerConfig, run)
