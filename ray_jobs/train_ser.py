"""Train a speech emotion classifier on prepared corpora, with Ray Train.

    python -m rapport.ray_jobs.train_ser --config embedded --name first --corpora ravdess
    python -m rapport.ray_jobs.train_ser --config hubert-base-frozen --corpora ravdess,cremad --noise musan
    ray job submit --working-dir . -- python -m rapport.ray_jobs.train_ser --config wavlm-large-lora --storage s3://bucket/rapport

Kill it and run it again: it goes on from its last checkpoint, within an epoch too, and ends as if it had not been killed. `--fresh` begins
anew and moves the earlier run aside. The model (the best epoch on validation) lies in <storage>/models/ser/<name>/, the last epoch's in
its folder `last`; curves, confusions and settings in <storage>/runs/train_ser/<name>/. Test clips are looked at once, at the end.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from rapport.ray_jobs.runtime import job, start_ray
from rapport.ray_jobs.ser_training.config import TrainSerConfig, resolved

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback
    from ray.train.v2.torch.torch_trainer import TorchTrainer

    from rapport.ray_jobs.ser_training.data import Sources


def run(config: TrainSerConfig) -> dict[str, Any]:
    """The folders of the run and of its model, and its figures on validation and test clips."""
    return train(config)


def train(config: TrainSerConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """As `run`; `callbacks` hear every epoch's figures (see `flat_metrics`), as a search wants. Starts or joins Ray."""
    from rapport.core import storage
    from rapport.core.errors import RapportError
    from rapport.ray_jobs.provenance import revision
    from rapport.ray_jobs.ser_training import data, run_folder
    from rapport.ray_jobs.ser_training.watch import watched

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    config = resolved(config)
    folder = run_folder.run_folder(config)
    if config.fresh:
        for earlier in (folder, run_folder.model_folder(config)):
            if aside := run_folder.set_aside(earlier):
                say(f"moved the earlier {earlier} to {aside}")
    state = run_folder.state_of(folder)
    if state != "new":
        run_folder.check_unchanged(config)
    if state == "finished":
        say(f"{config.name} is finished: this is its result (--fresh trains it anew)")
        return run_folder.finished_result(folder)
    sources = run_folder.sources_of(folder) if state == "interrupted" else data.find_sources(config)
    selection = data.select_rows(config, sources)
    facts, warnings = data.describe(selection, config.model.emotions)
    for side, counts in facts["clips"].items():
        say(f"{side}: " + (", ".join(f"{count} clips of {corpus}" for corpus, count in counts.items()) or "none"))
    for label, count in facts["excluded"].items():
        say(f"left out: {count} clips labelled {label}")
    for warning in warnings:
        say(f"warning: {warning}")
    if state == "new":
        run_folder.begin(config, sources)
    else:
        say(f"continuing from {run_folder.newest_checkpoint(folder)}")
    run_folder.prune_checkpoints(folder)
    with start_ray():
        trainer = make_trainer(config, sources, callbacks)
        with nullcontext() if quiet else watched(folder, config.name, config.training.epochs):
            outcome: Any = trainer.fit()
    figures = outcome.return_value
    if "error" in figures:
        raise RapportError(figures["error"])
    run_folder.prune_checkpoints(folder)
    result = {
        "folder": folder,
        "model": run_folder.model_folder(config),
        "name": config.name,
        "revision": revision(),
        "seed": config.seed,
        "resumed": state == "interrupted",
        **facts,
        "warnings": warnings,
        **{key: figures[key] for key in ("epoch", "epochs", "stopped", "seconds", "parameters", "trained_parameters")},
        "validation": brief(figures["validation"]),
        "tests": {name: brief(metrics) for name, metrics in figures["tests"].items()},
    }
    storage.write_json(storage.join(folder, run_folder.RESULT), result)
    return result


def for_search(config: TrainSerConfig) -> TrainSerConfig:
    """The same settings for a trial of a search: corpora named by folder, as trials have storage roots of their own, and no test."""
    from rapport.core.config import with_values
    from rapport.ray_jobs.ser_training.data import find_sources

    sources = find_sources(config)
    return with_values(config, {"corpora": sources.corpora, "test_corpora": (), "noise": sources.noise, "test": False})


def make_trainer(config: TrainSerConfig, sources: "Sources", callbacks: Sequence["UserCallback"] = ()) -> "TorchTrainer":
    """The Ray trainer of a run. Ray must be initialised."""
    # Ray's controller takes reports up once in this while, and a second report waits for the first: epochs may be shorter than 2 s.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    from dataclasses import asdict

    import ray
    from ray.train.v2.api.config import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.v2.torch.torch_trainer import TorchTrainer

    from rapport.ray_jobs.ser_training.run_folder import CHECKPOINTS, run_folder
    from rapport.ray_jobs.ser_training.trainer import LocalTrainer
    from rapport.ray_jobs.ser_training.worker import train_worker

    # A Ray that was started for this job ends with it: there is no placement group to clean up after it, nor a node to be reclaimed.
    # In an actor, such as the trial of a search, it does not.
    own = not os.environ.get("RAY_ADDRESS") and ray.get_runtime_context().get_actor_id() is None
    if own:
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    workers = config.workers
    use_gpu = workers.use_gpu == "yes" or (workers.use_gpu == "auto" and ray.cluster_resources().get("GPU", 0) >= workers.count)
    free = int(ray.available_resources().get("CPU", 1)) // workers.count
    cpus = workers.cpus or max(1, free)
    kind = LocalTrainer if own else TorchTrainer
    return kind(
        train_worker,
        train_loop_config={
            "config": config.model_dump(mode="json"),
            "sources": asdict(sources),
            "threads": min(cpus, max(1, (os.cpu_count() or 1) // workers.count)),
        },
        scaling_config=ScalingConfig(
            num_workers=workers.count, use_gpu=use_gpu, resources_per_worker={"CPU": cpus, **({"GPU": 1} if use_gpu else {})}
        ),
        run_config=RunConfig(
            name=CHECKPOINTS,
            storage_path=run_folder(config),
            failure_config=FailureConfig(max_failures=workers.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            logging_config=LoggingConfig(log_level="WARNING"),
            callbacks=list(callbacks),
        ),
    )


def brief(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures of a set in a few numbers."""
    if metrics is None:
        return None
    chosen = {name: metrics[name] for name in ("uar", "wa", "macro_f1", "count")}
    return {**chosen, "uar_interval": metrics["interval"]["uar"], "per_corpus": {k: v["uar"] for k, v in metrics["per_corpus"].items()}}


if __name__ == "__main__":
    job(TrainSerConfig, run)
