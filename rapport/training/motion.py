"""Training of head motion: a plain loop that needs no cluster.

    result = train_motion(model, MotionData(train, validation), config, seed=0, report=lambda report: None)

The loop tells every step to `report`, which may save the checkpoint offered to it; given back as `checkpoint`, the training goes on from
there, within an epoch too, and ends with the same weights and figures as one that was never interrupted. One process trains a model, as a
model is small: folds and seeds are what runs side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rapport.core.errors import RapportError
from rapport.models.listener.model import HeadMotionModel
from rapport.training.checkpoint import Checkpoint, Progress
from rapport.training.loop import EpochLoop
from rapport.training.motion_config import MotionConfig, PlateauConfig
from rapport.training.motion_evaluation import motion_figures, tell_turns
from rapport.training.motion_loss import motion_loss
from rapport.training.motion_turns import Floats, MotionBatch, StretchSampler, Turns
from rapport.training.numerics import seed_everything
from rapport.training.optim import adamw, learning_rates, load_optimizer_tensors, optimizer_tensors, set_rate
from rapport.training.report import Report
from rapport.training.sampler import derive_seed
from rapport.training.schedules import Rate, rate_schedule
from rapport.training.weights import RunningMean, Weights, borrowed, copy_of, learned, load_learned


@dataclass(frozen=True)
class MotionData:
    """What one training reads."""

    train: Turns
    validation: Turns | None = None
    """Turns of other persons, to select the model by."""


@dataclass
class MotionProgress(Progress):
    """Where the training of a model of head motion stands; `batch` counts the steps of the epoch under way."""

    frames: int = 0
    """Frames of the epoch under way that were scored."""


@dataclass(frozen=True)
class MotionResult:
    """A finished training. The model holds the selected weights."""

    history: list[dict[str, Any]]
    """The records of all epochs."""
    epoch: int
    """The epoch whose weights were selected, from 1."""
    stopped: bool
    """Whether patience ended the training."""
    seconds: float
    """Time spent in training and evaluation, over all sessions of a resumed one."""
    last: Weights
    """The weights after the last step (their running mean, when one is kept)."""
    validation: dict[str, float] | None
    """Figures of the selected weights on the validation turns."""


def train_motion(
    model: HeadMotionModel,
    data: MotionData,
    config: MotionConfig,
    *,
    seed: int = 0,
    report: Callable[[Report], None] = lambda report: None,
    checkpoint: Checkpoint[MotionProgress] | None = None,
) -> MotionResult:
    """The trained `model` (changed in place, on its device), and how it went.

    A new training first fits normalisation on the training turns; every training ends with a fit of the noise of drawn motion on what
    its selected weights leave unexplained there. Raises RapportError when the settings do not fit the data, or when the loss stops being
    a number.
    """
    if checkpoint is None:  # else it comes with the weights
        model.fit_normalisation(data.train)
    training = _Training(model, data, config, seed, report)
    if checkpoint is not None:
        training.restore(checkpoint)
    training.run()
    return training.result()


class _Training(EpochLoop[MotionProgress]):
    lower_is_better = frozenset({"loss", "offset_removed_mae_deg", "mae_deg"})

    def __init__(self, model: HeadMotionModel, data: MotionData, config: MotionConfig, seed: int, report: Callable[[Report], None]) -> None:
        validates = data.validation is not None and len(data.validation) > 0
        missing = "validation turns to select an epoch or stop by: hold a session out"
        super().__init__(config, report, MotionProgress(), validates=validates, missing=missing)
        self.model, self.data, self.config, self.seed = model, data, config, seed
        self.device = model.rest.device
        self.frame_rate_hz = model.config.front_end.frame_rate_hz
        if not len(data.train):
            raise RapportError("there is no turn to train on: the training side is empty")
        self.sampler = StretchSampler(data.train.lengths, config, self.frame_rate_hz, seed)
        self.optimizer = adamw(model, config.optim)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.mean = RunningMean(model, config.ema_decay) if config.ema_decay else None
        self.total_steps = config.epochs * len(self.sampler)
        self.rate = rate_schedule(config.schedule, self.total_steps, len(self.sampler))
        self.factor = 1.0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)

    def restore(self, checkpoint: Checkpoint[MotionProgress]) -> None:
        """Go on from a checkpoint."""
        load_learned(self.model, checkpoint.weights)
        load_optimizer_tensors(self.optimizer, checkpoint.optimizer)
        if (self.mean is None) != (checkpoint.mean is None):
            raise RapportError("the checkpoint was made with another ema_decay: train under another name, or afresh")
        if self.mean is not None and checkpoint.mean is not None:
            for name, tensor in self.mean.weights.items():
                tensor.copy_(checkpoint.mean[name])
        self.best, self.progress = checkpoint.best, checkpoint.progress
        self.loss_sum += self.progress.loss_sum

    def train_epoch(self) -> None:
        """The steps that remain of the epoch under way."""
        self.model.train()
        batches = self.sampler.epoch(self.progress.epoch)
        self.factor = plateau_factor([record["train"]["loss"] for record in self.progress.history], self.config.plateau)
        for stretches in batches[self.progress.batch :]:
            self._step(self.data.train.batch(stretches).to(self.device))
            self.tell_step(last=self.progress.batch == len(batches))

    def _step(self, batch: MotionBatch) -> None:
        progress = self.progress
        seed_everything(derive_seed(self.seed, "step", progress.epoch, progress.batch), self.device)
        rate = self.rate(progress.step)
        set_rate(self.optimizer, Rate(rate.factor * self.factor, rate.momentum))
        self.optimizer.zero_grad(set_to_none=True)
        motion = self.model(batch.features, batch.lengths)
        loss = motion_loss(motion, batch, self.model.spread, self.frame_rate_hz, self.config.loss)
        loss.backward()
        if self.config.optim.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.optim.clip_norm)
        self.optimizer.step()
        frames = int(batch.scored.sum())
        self.loss_sum += loss.detach().double() * frames
        progress.frames += frames
        progress.step += 1
        progress.batch += 1
        if self.mean is not None:
            self.mean.update(progress.step)

    def train_figures(self) -> dict[str, float]:
        """The mean loss of a frame."""
        figures = {"loss": self.mean_loss(), "frames": self.progress.frames}
        self.loss_sum.zero_()
        self.progress.frames = 0
        return figures

    def validate(self) -> dict[str, float]:
        """Figures of what may become the model."""
        assert self.data.validation is not None
        with borrowed(self.model, self.mean.weights if self.mean is not None else None):
            return motion_figures(self.model, self.data.validation, self.config)

    def result(self) -> MotionResult:
        """The training's outcome."""
        last = copy_of(self._selectable(), "cpu")
        load_learned(self.model, self.best if self.config.selection == "best" and self.best is not None else last)
        self.model.fit_noise(unexplained(self.model, self.data.train, self.config))
        last["noise_correlation"] = self.model.noise_correlation.cpu().clone()
        self.tick()
        progress, epoch = self.progress, self.chosen_epoch()
        validation = progress.history[epoch - 1]["validation"]
        return MotionResult(progress.history, epoch, progress.stopped, progress.seconds, last, validation)

    def checkpoint(self) -> Checkpoint[MotionProgress]:
        """The training as it stands."""
        self.progress.loss_sum = float(self.loss_sum)
        mean = self.mean.weights if self.mean is not None else None
        return Checkpoint(self.progress, learned(self.model), optimizer_tensors(self.optimizer), mean, self.best)

    def keep(self) -> Weights:
        """A copy of what was evaluated."""
        return copy_of(self._selectable(), "cpu")

    def rates(self) -> dict[str, float]:
        """The one rate."""
        return learning_rates(self.optimizer)

    def mean_loss(self) -> float:
        """Over frames."""
        return float(self.loss_sum) / max(1, self.progress.frames)

    def _selectable(self) -> Weights:
        """What is evaluated, and may become the model."""
        return self.mean.weights if self.mean is not None else learned(self.model)


def unexplained(model: HeadMotionModel, turns: Turns, config: MotionConfig) -> Iterator[Floats]:
    """[T, 3] of each turn what the model leaves unexplained, over the deviation that it tells; nothing where it tells none.

    A turn's mean error is taken away as far as the loss does: the deviation that was learned is not of it.
    """
    for turn in tell_turns(model, turns, config):
        if turn.motion.log_deviation is not None:
            error = turn.targets - turn.motion.mean.numpy()
            yield (error - (1 - config.loss.offset) * error.mean(0)) / turn.motion.log_deviation.exp().numpy()


def plateau_factor(losses: Sequence[float], config: PlateauConfig) -> float:
    """The factor on the learning rate after epochs of these training losses."""
    if not config.patience:
        return 1.0
    factor, best, waited = 1.0, np.inf, 0
    for loss in losses:
        waited += 1
        if loss < best * (1 - config.threshold):
            best, waited = loss, 0
        elif waited > config.patience:
            factor, waited = factor * config.factor, 0
    return factor
