"""Train models of a listener's head motion, one for each session held out and each seed, with Ray Tune and Ray Train.

    python -m rapport.ray_jobs.train_listener --config embedded --name causal --seeds 0 1 2
    python -m rapport.ray_jobs.train_listener --config faithful --name published --folds session1,session5
    python -m rapport.ray_jobs.train_listener --config embedded --name served --folds none
    ray job submit --working-dir . -- python -m rapport.ray_jobs.train_listener --config embedded --storage s3://bucket/rapport

It reads what build_listener made. Every fold begins from weights of its own: the session after the one held out selects the epoch, and the
session held out is looked at once, at the end. Kill it and run it again: trainings that are finished stay as they are, those under way go
on from their last checkpoints, within an epoch too. `--fresh` begins anew and moves earlier ones aside.
The models lie in <storage>/models/listener/<name>/fold-<session>-seed-<n>/, that of `--folds none` in <storage>/models/listener/<name>/
itself; curves and settings in <storage>/runs/train_listener/<name>/.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rapport.ray_jobs.listener_training.config import FoldConfig, TrainListenerConfig, fold_configs, resolved
from rapport.ray_jobs.runtime import job, start_ray

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback


def run(config: TrainListenerConfig) -> dict[str, Any]:
    """The folders of the runs and models, and the figures of each and their means."""
    return train(config)


def train(config: TrainListenerConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """As `run`; `callbacks` hear the figures of every epoch of a single training (see `flat_metrics`). Starts or joins Ray."""
    from rapport.datasets.listener.build import open_motion
    from rapport.ray_jobs.listener_training.data import choose_folds, find_data, usable_turns
    from rapport.ray_jobs.listener_training.fold import is_finished
    from rapport.ray_jobs.listener_training.run_folder import fold_folder, models_folder, runs_folder
    from rapport.ray_jobs.training_runs.run_folder import finished_result

    config = resolved(config)
    data = find_data(config.storage, config.data, config.model.front_end)
    turns = usable_turns(data, open_motion(data))
    folds = fold_configs(config, choose_folds(config, [turn.session for turn in turns]))
    if config.fresh:
        set_aside(folds, quiet)
    pending = [fold for fold in folds if not is_finished(fold)]
    if len(pending) < len(folds):
        _say(f"{len(folds) - len(pending)} of {len(folds)} trainings are finished (--fresh trains them anew)", quiet)
    if pending:
        _say(f"{len(turns)} turns of {len({turn.session for turn in turns})} sessions, in {data}", quiet)
        train_all(pending, data, config.concurrent, callbacks, quiet)
    results = {fold.label: finished_result(fold_folder(fold)) for fold in folds}
    only = next(iter(results.values())) if len(results) == 1 else None
    return {
        "folder": runs_folder(config.storage, config.name),
        "name": config.name,
        "model": only["model"] if only else models_folder(config.storage, config.name),
        "data": data,
        "epochs": max(result["epochs"] for result in results.values()),
        "validation": mean_figures([result["validation"] for result in results.values()]),
        "test": mean_figures([result["test"] for result in results.values()]),
        "trainings": results,
    }


def train_all(folds: Sequence[FoldConfig], data: str, concurrent: int | None, callbacks: Sequence["UserCallback"], quiet: bool) -> None:
    """Train these, a single one here and several as trials of Ray Tune."""
    if len(folds) == 1:
        from rapport.ray_jobs.listener_training.fold import train_fold

        with start_ray():
            train_fold(folds[0], data, callbacks=callbacks, quiet=quiet)
        return
    from rapport.ray_jobs.training_runs.placement import place

    # Ray Train inside a trial asks the dashboard whether its driver is alive.
    with start_ray(include_dashboard=True) as resources:
        from rapport.ray_jobs.listener_training.side_by_side import train_side_by_side

        workers, at_once = place(folds[0].workers, min(concurrent or len(folds), len(folds)), resources)
        _say(f"training {len(folds)} models, {at_once} at a time", quiet)
        train_side_by_side([fold.model_copy(update={"workers": workers}) for fold in folds], data, at_once)


def for_search(config: TrainListenerConfig) -> TrainListenerConfig:
    """The same settings for a trial of a search: features named by folder, as trials have storage roots of their own; one training, which
    selects the epoch that a search looks at; and no look at the held-out session. Unless the settings name a single fold, none is held out.
    """
    from rapport.core.config import with_values
    from rapport.ray_jobs.listener_training.config import ALL, NONE
    from rapport.ray_jobs.listener_training.data import find_data

    config = resolved(config)
    fold = config.folds[0] if len(config.folds) == 1 and config.folds[0] != ALL else NONE
    data = find_data(config.storage, config.data, config.model.front_end)
    select = {"training.selection": "best", "training.select_by": "offset_removed_mae_deg"}
    return with_values(config, {"data": data, "folds": (fold,), "seeds": config.seeds[:1], "test": False, **select})


def set_aside(folds: Sequence[FoldConfig], quiet: bool) -> None:
    """Move earlier trainings and their models aside. The model that is served stays until another takes its place."""
    from rapport.ray_jobs.listener_training.config import NONE
    from rapport.ray_jobs.listener_training.run_folder import fold_folder, model_folder
    from rapport.ray_jobs.training_runs import run_folder

    for fold in folds:
        for earlier in (fold_folder(fold), *([] if fold.fold == NONE else [model_folder(fold)])):
            if aside := run_folder.set_aside(earlier):
                _say(f"moved the earlier {earlier} to {aside}", quiet)


def mean_figures(sides: Sequence[Mapping[str, float] | None]) -> dict[str, float] | None:
    """The mean of each figure over trainings, counts left out; None when one has none."""
    if any(side is None for side in sides):
        return None
    known = [side for side in sides if side is not None]
    return {name: sum(side[name] for side in known) / len(known) for name in known[0] if name not in ("turns", "frames")}


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(TrainListenerConfig, run)
