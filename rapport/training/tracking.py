"""Where the figures of a training go: its run folder, TensorBoard, MLflow.

metrics.jsonl     one line an epoch, the records of the history
confusions.npy    [epochs evaluated, E, E] counts on validation, true emotion along the rows; of classifiers
progress.json     how far it is, rewritten every second or so
tensorboard/      by epoch Loss, LearningRate and, of classifiers, Accuracy, UAR, F1, Recall/<emotion>, UAR_corpus/<corpus>,
                  ConfusionMatrix, of language models TeacherForcedTokenAccuracy, Perplexity, Loss_task/<task>, of head motion
                  OffsetRemovedMAE, MAE, Correlation, of acting agents Return, Success, Understood; by step steps/
"""

import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.tensorboard import SummaryWriter

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.training.config import TrackingConfig
from rapport.training.report import Report

METRICS, CONFUSIONS, PROGRESS, TENSORBOARD = "metrics.jsonl", "confusions.npy", "progress.json", "tensorboard"
_MLFLOW = "mlflow.json"
_CURVES = {
    "wa": "Accuracy",
    "uar": "UAR",
    "macro_f1": "F1",
    "teacher_forced_token_accuracy": "TeacherForcedTokenAccuracy",
    "perplexity": "Perplexity",
    "offset_removed_mae_deg": "OffsetRemovedMAE",
    "mae_deg": "MAE",
    "correlation": "Correlation",
    "mean_return": "Return",
    "success": "Success",
    "understood": "Understood",
    "policy_loss": "PolicyLoss",
    "value_loss": "ValueLoss",
    "critic_loss": "CriticLoss",
    "choice_entropy": "ChoiceEntropy",
    "temperature": "Temperature",
}
"""Figure of a record to the name of its curve."""


def scalars(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The record of one epoch as (TensorBoard tag, value)."""
    for part, rate in record["learning_rate"].items():
        yield f"LearningRate/{part}", rate
    for side, tag in (("train", "Train"), ("validation", "Val")):
        figures = record[side]
        if figures is None:
            continue
        if "loss" in figures:
            yield f"Loss/{tag}", figures["loss"]
        yield from ((f"{curve}/{tag}", figures[name]) for name, curve in _CURVES.items() if name in figures)
        if "domain_wa" in figures:
            yield f"Accuracy/{tag}_Domain", figures["domain_wa"]
    validation = record["validation"] or {}
    yield from ((f"Recall/{emotion}", recall) for emotion, recall in validation.get("recall", {}).items())
    yield from ((f"UAR_corpus/{corpus}", uar) for corpus, uar in validation.get("per_corpus", {}).items())
    yield from ((f"Loss_task/{task}", part["loss"]) for task, part in validation.get("per_task", {}).items())


Draw = Callable[[npt.ArrayLike], npt.NDArray[np.uint8]]
"""A confusion matrix [E, E] to a picture [height, width, 3]."""


class Tracker:
    """Writes what one training reports; of several workers, the first has one."""

    def __init__(
        self,
        folder: str,
        config: TrackingConfig,
        *,
        name: str,
        settings: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]] = (),
        step: int = 0,
        draw: Draw | None = None,
    ) -> None:
        """`folder` is the run folder; `settings` go to MLflow; `history` and `step` say where a resumed training begins.

        `draw` turns a confusion matrix [E, E] into a picture [height, width, 3], which TensorBoard then shows of every epoch that is the
        best so far.

        Raises RapportError when MLflow is asked for but not installed.
        """
        self.folder, self.config = folder, config
        self.history = [dict(record) for record in history]
        self._told_s = 0.0
        # A write to an object store takes as long as a step.
        self._tells_every_s = 1.0 if storage.is_local(folder) else 15.0
        self._draw = draw
        self._mlflow = _MlflowRun(folder, config, name, settings) if config.mlflow_uri else None
        # TensorBoard writes to disk only: for an object store it is copied after each epoch.
        self._copies = not storage.is_local(folder)
        local = tempfile.mkdtemp(prefix="tensorboard-") if self._copies else str(storage.local_copy(storage.join(folder, TENSORBOARD)))
        self._tensorboard = Path(local)
        # Points that a killed session wrote after its last checkpoint come again: the purge hides the first ones.
        self._epochs = SummaryWriter(local, purge_step=len(history) + 1) if config.tensorboard else None
        self._steps = SummaryWriter(str(self._tensorboard / "steps"), purge_step=step + 1) if config.tensorboard else None

    def __call__(self, report: Report) -> None:
        """Write what the report tells."""
        now_s = time.monotonic()
        if report.record is not None:
            self._epoch(report.record)
        elif self._steps is not None and report.step % self.config.log_every_steps == 0:
            self._steps.add_scalar("Loss", report.loss(), report.step)
            for part, rate in report.learning_rates.items():
                self._steps.add_scalar(f"LearningRate/{part}", rate, report.step)
        if report.record is not None or now_s - self._told_s >= self._tells_every_s:
            self._told_s = now_s
            where = {"epoch": report.epoch, "step": report.step, "total_steps": report.total_steps}
            storage.write_bytes(storage.join(self.folder, PROGRESS), json.dumps(where).encode())

    def close(self) -> None:
        """Flush everything; call it when the training is over."""
        for writer in (self._epochs, self._steps):
            if writer is not None:
                writer.close()
        self._copy_events()
        if self._mlflow is not None:
            self._mlflow.close()

    def _epoch(self, record: Mapping[str, Any]) -> None:
        self.history.append(dict(record))
        lines = "".join(json.dumps(epoch, ensure_ascii=False) + "\n" for epoch in self.history)
        storage.write_bytes(storage.join(self.folder, METRICS), lines.encode())
        confusions = [epoch["validation"]["confusion"] for epoch in self.history if "confusion" in (epoch["validation"] or {})]
        if confusions:
            buffer = io.BytesIO()
            np.save(buffer, np.array(confusions, dtype=np.int64), allow_pickle=False)
            storage.write_bytes(storage.join(self.folder, CONFUSIONS), buffer.getvalue())
        values = dict(scalars(record))
        if self._epochs is not None and self._steps is not None:
            for tag, value in values.items():
                self._epochs.add_scalar(tag, value, record["epoch"])
            if self._draw is not None and record.get("best"):
                picture = self._draw(record["validation"]["confusion"])
                self._epochs.add_image("ConfusionMatrix", picture, record["epoch"], dataformats="HWC")
            self._epochs.flush()
            self._steps.flush()
            self._copy_events()
        if self._mlflow is not None:
            self._mlflow.log(values, record["epoch"])

    def _copy_events(self) -> None:
        if self._copies and self.config.tensorboard:
            storage.put_folder(self._tensorboard, storage.join(self.folder, TENSORBOARD))


class _MlflowRun:
    """One MLflow run, found again when its training is resumed."""

    def __init__(self, folder: str, config: TrackingConfig, name: str, settings: Mapping[str, Any]) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise RapportError("tracking.mlflow_uri is set but MLflow is not installed: pip install 'rapport[mlflow]'") from error
        self.client = MlflowClient(config.mlflow_uri)
        kept = storage.join(folder, _MLFLOW)
        if storage.exists(kept):
            self.run_id = storage.read_json(kept)["run_id"]
            return
        found = self.client.get_experiment_by_name(config.mlflow_experiment)
        experiment = found.experiment_id if found else self.client.create_experiment(config.mlflow_experiment)
        self.run_id = self.client.create_run(experiment, run_name=name).info.run_id
        for key, value in settings.items():
            self.client.log_param(self.run_id, key, str(value)[:500])
        storage.write_json(kept, {"run_id": self.run_id})

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        for tag, value in values.items():
            self.client.log_metric(self.run_id, tag, value, step=epoch)

    def close(self) -> None:
        self.client.set_terminated(self.run_id)
