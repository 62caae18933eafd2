"""Several trainings at once: each is a trial of Ray Tune, a driver function that runs its training with Ray Train.

Nothing is shared between two of them but the data: each builds a model of its own from its own seed.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.progress import progress
from rapport.ray_jobs.listener_training.config import FoldConfig
from rapport.ray_jobs.listener_training.fold import figures_line, train_fold
from rapport.ray_jobs.listener_training.run_folder import runs_folder

# A trial waits for a worker that asks for processors itself. Tune refuses a trial that asks for nothing, so it asks for a mebibyte.
_DRIVER = {"CPU": 0.0, "memory": 2.0**20}


def train_side_by_side(folds: Sequence[FoldConfig], data: str, concurrent: int) -> None:
    """Train all, so many at a time; every result lies in its folder then. Ray must be initialised.

    Raises RapportError that tells why some failed, when the others are done.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # they would write another copy of what the run folders hold
    logging.getLogger("ray.tune.analysis").setLevel(logging.ERROR)  # and their absence would be told
    # Ray Tune's own files are of no use afterwards, and hold pickles, which nobody should read.
    scratch = storage.join(runs_folder(folds[0].storage, folds[0].name), "ray")
    storage.remove(scratch)
    settings = {fold.label: fold.model_dump(mode="json") for fold in folds}
    with progress(f"training {folds[0].name}: models", len(folds)) as advance:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(run_trial, settings=settings, data=data), _DRIVER),
            param_space={"label": tune.grid_search(list(settings))},
            tune_config=tune.TuneConfig(max_concurrent_trials=concurrent),
            run_config=tune.RunConfig(name="tune", storage_path=scratch, callbacks=[_Teller(advance)], verbose=0),
        )
        grid = tuner.fit()
    storage.remove(scratch)
    errors = [str(error).strip().splitlines()[-1].strip() for error in grid.errors]
    if errors:
        raise RapportError(f"{len(errors)} of {len(folds)} trainings failed: {'; '.join(dict.fromkeys(errors))}")


def run_trial(params: dict[str, Any], settings: Mapping[str, Any], data: str) -> None:
    """Train the fold that the trial is of, from where an earlier session was killed."""
    result = train_fold(FoldConfig.model_validate(settings[params["label"]]), data, quiet=True)
    tune.report({"line": figures_line(result["validation"]), "epoch": result["epoch"]})


class _Teller(tune.Callback):
    """Tells when a training ends."""

    def __init__(self, advance: Any) -> None:
        self.advance = advance

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = trial.last_result
        self._tell(trial, f"validation {result['line']} in epoch {result['epoch']}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._tell(trial, "failed")

    def _tell(self, trial: Trial, what: str) -> None:
        print(f"{trial.config['label']}: {what}", file=sys.stderr, flush=True)
        self.advance(1)
