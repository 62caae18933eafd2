"""One trial of a search: a driver function that runs the training job, whose workers Ray Train starts, and tells Tune of each epoch."""

from typing import Any

from ray import tune
from ray.train import Checkpoint
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.tune.integration.ray_train import TuneReportCallback

from rapport.core import storage
from rapport.ray_jobs.tuning.study import TRIALS, Study, rounded, trial_key

SCORE, EPOCH, FINISHED = "score", "epoch", "finished"


class ReportScore(TuneReportCallback):
    """Tells Tune the best score so far after each epoch that was evaluated. Lives with the controller of the trial's training."""

    def __init__(self, metric: str, mode: str, best: float | None):
        super().__init__()
        self.metric, self.better, self.best = metric, max if mode == "max" else min, best

    def after_report(self, run_context: TrainRunContext, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None) -> None:
        """Pass on what the first worker reported."""
        value = metrics[0].get(self.metric)
        if value is None:
            return
        self.best = value if self.best is None else self.better(self.best, value)
        super().after_report(run_context, [{SCORE: self.best, EPOCH: metrics[0]["epoch"], FINISHED: False}], None)


def run_trial(params: dict[str, Any], study: Study) -> None:
    """Train with these parameters, from where an earlier session of the same trial was killed."""
    params = rounded(params)
    record = storage.join(study.folder, TRIALS, f"{trial_key(params)}.json")
    before = storage.read_json(record)["history"] if storage.exists(record) else []
    space = study.space
    callback = ReportScore(space.METRIC, space.MODE, before[-1][1] if before else None)
    result = study.job.train(study.settings(params), callbacks=[callback], quiet=True)
    # Also where the training was finished before, and reported nothing now.
    tune.report({SCORE: result["validation"][space.METRIC], EPOCH: result["epochs"], FINISHED: True})
