"""The search itself: Ray Tune with Optuna's sampler and ASHA, fed from and written to the records of a study."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import optuna
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from rapport.core import storage
from rapport.ray_jobs.tuning.config import TuneModelConfig
from rapport.ray_jobs.tuning.study import Record, Study, rounded, trial_key
from rapport.ray_jobs.tuning.trial import EPOCH, FINISHED, SCORE, run_trial
from rapport.training.sampler import derive_seed

# A trial waits for workers that ask for processors themselves. Tune refuses a trial that asks for nothing, so it asks for a mebibyte.
_DRIVER = {"CPU": 0.0, "memory": 2.0**20}


def search(study: Study, config: TuneModelConfig, concurrent: int) -> list[Record]:
    """All records once the search is over. Ray must be initialised.

    Records of an earlier session count: what was finished teaches the sampler, what was running is run first and goes on.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # they would write another copy of what the records hold
    earlier = study.records()
    done = [record for record in earlier if record.state != "running"]
    first = [record.params for record in earlier if record.state == "running"]
    missing = config.samples - len(done)
    if missing <= 0:
        return earlier
    if config.try_base and not earlier and (point := base_point(study)) is not None:
        first.append(point)
    # Ray Tune's own files are of no use afterwards, and hold pickles, which nobody should read.
    scratch = storage.join(study.folder, "ray")
    storage.remove(scratch)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, study=study), _DRIVER),
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode=study.space.MODE,
            num_samples=missing,
            search_alg=make_sampler(study, done, first, config),
            scheduler=ASHAScheduler(
                time_attr=EPOCH,
                max_t=max(study.budget, config.grace),
                grace_period=config.grace,
                reduction_factor=config.reduction,
                stop_last_trials=False,  # one that reaches its last epoch has yet to save its model
            ),
            max_concurrent_trials=concurrent,
            time_budget_s=config.time_budget_s,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=scratch, callbacks=[Recorder(study, earlier, config.samples)], verbose=0),
    )
    tuner.fit()
    storage.remove(scratch)
    return study.records()


def make_sampler(study: Study, done: Sequence[Record], first: Sequence[dict[str, Any]], config: TuneModelConfig) -> OptunaSearch:
    """Optuna's TPE that knows what is done, and proposes the points in `first` before any of its own."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=config.random_samples,
        # Trials that run at the same time should not crowd one place.
        constant_liar=True,
        # A continued search must not draw its first points again.
        seed=derive_seed(config.seed, "search", len(done)) % 2**32,
    )
    space = OptunaSearch.convert_search_space(study.fields)
    searcher = OptunaSearch(space, metric=SCORE, mode=study.space.MODE, sampler=sampler, points_to_evaluate=[dict(p) for p in first])
    for record in done:
        # A failed trial has no score that could be learned from.
        if record.score is not None and record.state != "failed" and fits(record.params, space):
            searcher.add_evaluated_point(record.params, record.score, intermediate_values=[score for _, score in record.history])
    return searcher


def base_point(study: Study) -> dict[str, Any] | None:
    """The base's own values of the searched fields; None when one of them lies outside the space."""
    point = {}
    for name in study.fields:
        value: Any = study.base
        for part in name.split("."):
            value = getattr(value, part)
        point[name] = value
    return point if fits(point, OptunaSearch.convert_search_space(study.fields)) else None


def fits(params: dict[str, Any], space: dict[str, optuna.distributions.BaseDistribution]) -> bool:
    """Whether every parameter lies inside its distribution."""

    def inside(value: Any, distribution: optuna.distributions.BaseDistribution) -> bool:
        try:
            return bool(distribution._contains(distribution.to_internal_repr(value)))
        except (TypeError, ValueError):
            return False

    return params.keys() == space.keys() and all(inside(params[name], distribution) for name, distribution in space.items())


class Recorder(tune.Callback):
    """Writes the record of each trial as results come in, and tells them."""

    def __init__(self, study: Study, earlier: Sequence[Record], samples: int):
        self.study, self.samples = study, samples
        self.records = {record.key: record for record in earlier}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Begin a record, or take up that of an earlier session."""
        params = rounded(trial.config)
        record = self.records.setdefault(trial_key(params), Record(params, number=len(self.records) + 1))
        self.study.save(record)
        self._tell(record, "runs" if not record.history else f"goes on after epoch {record.epochs}")

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any) -> None:
        """Add an epoch; the last report of a trial says that its model is saved."""
        record = self._record(trial)
        if result[FINISHED]:
            record.state = "finished"
        if result[EPOCH] > record.epochs:
            record.history.append((result[EPOCH], result[SCORE]))
        self.study.save(record)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the record."""
        record = self._record(trial)
        if record.state == "running":
            record.state = "stopped"
        self.study.save(record)
        self._tell(record, f"{record.state} after epoch {record.epochs} with {self.study.space.METRIC} {record.score:.4f}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the record with the reason."""
        record = self._record(trial)
        record.state, record.error = "failed", _reason(trial)
        self.study.save(record)
        self._tell(record, f"failed: {record.error}")

    def _record(self, trial: Trial) -> Record:
        return self.records[trial_key(rounded(trial.config))]

    def _tell(self, record: Record, what: str) -> None:
        scores = [r for r in self.records.values() if r.score is not None and r.state != "failed"]
        best = f"; best so far {self.study.best(scores).score:.4f}" if scores else ""
        print(f"trial {record.number}/{self.samples} {record.key} {what}{best}", file=sys.stderr, flush=True)


def _reason(trial: Trial) -> str:
    """The last line of the trial's error: the innermost one, which says what was wrong."""
    lines = [line for line in str(trial.get_error() or "").strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "unknown"
