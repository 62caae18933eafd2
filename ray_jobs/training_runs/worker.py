"""What the workers of every training share: how errors leave them, and what they tell Ray."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import ray.train
import ray.train.v2._internal.execution.context
import torch
from ray.train.v2.api.preemption import PreemptionInfo

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.meters import TrainingMeter
from rapport.ray_jobs.training_runs.run_folder import CHECKPOINTS, checkpoint_name, flat_settings
from rapport.training.checkpoint import Checkpoint
from rapport.training.report import Report, Reporting
from rapport.training.tracking import Draw, Tracker
from rapport.training.world import World

# Asking makes all workers wait for each other, a few milliseconds; a notice comes half a minute ahead or more.
_ASK_EVERY_STEPS = 10


def told_errors(train: Callable[[], dict[str, Any]], threads: int) -> dict[str, Any]:
    """What `train` gives with so many threads, or `error` with what the user can mend."""
    torch.set_num_threads(threads)
    # Ray's workers tell each report in full.
    logging.getLogger(ray.train.v2._internal.execution.context.__file__).setLevel(logging.WARNING)
    try:
        return train()
    except RapportError as error:
        # A worker that fails is started again, which mends nothing here. But others may be waiting for this one: then it must fail.
        if World.current().size > 1:
            raise
        return {"error": str(error)}


def reporter(folder: str, tracker: Tracker | None, flat: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Reporting:
    """Tell the tracker everything, and Ray each epoch, as `flat` makes it of a record, and each checkpoint.

    The first worker has the tracker and saves checkpoints; every worker must take part in reporting them. A checkpoint is wanted out of
    turn when a machine of the training is about to be taken away.
    """
    latest: dict[str, Any] = {}
    meter = TrainingMeter(folder.rsplit("/", 1)[-1], torch.cuda.max_memory_allocated if torch.cuda.is_available() else None)

    def report(said: Report) -> None:
        if tracker is not None:
            tracker(said)
            meter.step(said.step)
            meter.epoch(said.record or {})
        if said.record is not None:
            latest.clear()
            latest.update(flat(said.record))
        if said.checkpoint is not None:
            saved = None
            if tracker is not None:
                target = storage.join(folder, CHECKPOINTS, checkpoint_name(said.step))
                said.checkpoint.save(target)
                fs, inner = storage.resolve(target)
                saved = ray.train.Checkpoint(inner, filesystem=fs)
            _tell_ray({**latest, "step": said.step}, saved)
        elif said.record is not None:
            _tell_ray({**latest, "step": said.step}, None)

    watched = os.environ.get("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1") != "0"
    return Reporting(report, Preemption() if watched else None)


class Preemption:
    """Whether a machine is about to be taken away and the training as it stands has not been saved for it yet."""

    def __init__(self, ask: Callable[[], PreemptionInfo | None] = ray.train.get_preemption_info) -> None:
        self._ask = ask
        self._saved_for: set[str] = set()

    def __call__(self, step: int) -> bool:
        """Asked by every worker after every step; they wait for each other only at those at which Ray is asked."""
        info = None if step % _ASK_EVERY_STEPS else self._ask()
        going = set(info.preempted_node_ids) if info else set()
        if going <= self._saved_for:
            return False
        self._saved_for |= going
        if World.current().rank == 0:
            print(f"a machine of this training is about to be taken away: saving at step {step}", file=sys.stderr, flush=True)
        return True


def open_tracker(config: Any, folder: str, name: str, checkpoint: Checkpoint[Any] | None, draw: Draw | None = None) -> Tracker:
    """The curves of a run, whose settings hold `tracking`; they go on where its checkpoint was. `draw` is as `Tracker` takes it."""
    progress = checkpoint.progress if checkpoint else None
    return Tracker(
        folder,
        config.tracking,
        name=name,
        settings=flat_settings(config),
        history=progress.history if progress else (),
        step=progress.step if progress else 0,
        draw=draw,
    )


def _tell_ray(metrics: dict[str, Any], checkpoint: ray.train.Checkpoint | None) -> None:
    # Saved by us and in its place: whole or absent, which an upload of Ray's is not.
    ray.train.report(metrics, checkpoint=checkpoint, checkpoint_upload_mode=ray.train.CheckpointUploadMode.NO_UPLOAD)
