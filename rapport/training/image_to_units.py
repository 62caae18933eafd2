"""Training of the image-to-unit model: a plain loop that needs no cluster.

    data = CaptionData(captions_of(features, pictures, units, vocabulary, config.max_units), validation)
    result = train_image_to_units(model, data, config, seed=0, report=lambda report: None)

The loop tells every step to `report`, which may save the checkpoint offered to it; given back as `checkpoint`, the training goes on from
there, within an epoch too, and ends with the same weights and figures as one that was never interrupted.

Axes: P pictures, F features, N captions, L ids of a caption.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from rapport.core.errors import RapportError
from rapport.models.spolacq.captions import PAD, Vocabulary, caption_rows
from rapport.models.spolacq.i2u import ImageToUnits, Loss
from rapport.training.checkpoint import Checkpoint, Progress
from rapport.training.image_to_units_config import ImageToUnitsTrainingConfig
from rapport.training.loop import EpochLoop
from rapport.training.numerics import seed_everything
from rapport.training.optim import adamw, learning_rates, load_optimizer_tensors, optimizer_tensors, set_rate
from rapport.training.report import Report
from rapport.training.sampler import BatchSampler, derive_seed
from rapport.training.schedules import rate_schedule
from rapport.training.weights import Weights, copy_of, learned, load_learned


@dataclass(frozen=True)
class Captions:
    """Pictures, and what was said of them."""

    features: Tensor
    """float32 [P, F]"""
    pictures: Tensor
    """int64 [N] the picture of each caption."""
    rows: Tensor
    """int64 [N, L] as `caption_rows` makes them."""

    def __len__(self) -> int:
        """N."""
        return len(self.rows)

    def batch(self, captions: npt.NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
        """Features [B, F] and rows [B, L] of some captions."""
        chosen = torch.from_numpy(captions)
        return self.features[self.pictures[chosen]].to(device), self.rows[chosen].to(device)


def captions_of(
    features: npt.NDArray[np.floating],
    pictures: Sequence[int] | npt.NDArray[np.integer],
    units: Sequence[Sequence[int] | npt.NDArray[np.integer]],
    vocabulary: Vocabulary,
    max_units: int = 100,
) -> Captions:
    """Captions by their units [N] of the pictures [N] whose features are [P, F].

    Raises RapportError when there are not as many captions as pictures of captions, for a picture that is not there, and for captions that
    are empty or too long.
    """
    places = np.asarray(pictures, np.int64)
    if len(places) != len(units):
        raise RapportError(f"there are {len(units)} captions of {len(places)} pictures: wanted one picture for every caption")
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(features):
        raise RapportError(f"captions are of the pictures {places.min()} to {places.max()}: there are {len(features)}")
    rows = caption_rows(units, vocabulary, max_units)
    return Captions(torch.from_numpy(np.array(features, np.float32)), torch.from_numpy(places), torch.from_numpy(rows))


@dataclass(frozen=True)
class CaptionData:
    """What one training reads."""

    train: Captions
    validation: Captions | None = None
    """Captions of other pictures, to select the model by."""


@dataclass
class CaptionProgress(Progress):
    """Where the training stands; `loss_sum` is over captions."""

    captions: int = 0
    """Captions of the epoch under way that were learned from."""
    right: int = 0
    """Units of them that were foreseen."""
    units: int = 0
    """Units of them."""


@dataclass(frozen=True)
class ImageToUnitsResult:
    """A finished training. The model holds the selected weights."""

    history: list[dict[str, Any]]
    """The records of all epochs."""
    epoch: int
    """The epoch whose weights were selected, from 1."""
    stopped: bool
    """Whether patience ended the training."""
    seconds: float
    """Time spent in training and evaluation, over all sessions of a resumed one."""
    validation: dict[str, float] | None
    """Figures of the selected weights on the validation captions."""


def train_image_to_units(
    model: ImageToUnits,
    data: CaptionData,
    config: ImageToUnitsTrainingConfig,
    *,
    seed: int = 0,
    report: Callable[[Report], None] = lambda report: None,
    checkpoint: Checkpoint[CaptionProgress] | None = None,
) -> ImageToUnitsResult:
    """The trained `model` (changed in place, on its device, left in evaluation mode), and how it went.

    Raises RapportError when there is nothing to learn from, or when the loss stops being a number.
    """
    if not len(data.train):
        raise RapportError("there is no caption to train on: the training side is empty")
    if checkpoint is None:  # else it comes with the weights
        model.fit_features(data.train.features.to(model.feature_mean.device))
    training = _Training(model, data, config, seed, report)
    if checkpoint is not None:
        training.restore(checkpoint)
    training.run()
    return training.result()


@torch.inference_mode()
def caption_figures(model: ImageToUnits, captions: Captions, batch_size: int = 128) -> dict[str, float]:
    """`loss` of a caption and `accuracy` of its units, each foreseen after the right ones; nothing drawn, in evaluation mode."""
    was_training = model.training
    model.eval()
    sums = _Sums()
    for batch in np.array_split(np.arange(len(captions)), -(-len(captions) // batch_size)):
        sums.add(model.loss(*captions.batch(batch, model.feature_mean.device)), len(batch))
    model.train(was_training)
    return sums.figures()


class _Training(EpochLoop[CaptionProgress]):
    def __init__(
        self,
        model: ImageToUnits,
        data: CaptionData,
        config: ImageToUnitsTrainingConfig,
        seed: int,
        report: Callable[[Report], None],
    ) -> None:
        validates = data.validation is not None and len(data.validation) > 0
        super().__init__(
            config, report, CaptionProgress(), validates=validates, missing="validation captions to select by: leave pictures out"
        )
        self.model, self.data, self.config, self.seed = model, data, config, seed
        self.device = model.feature_mean.device
        lengths = (data.train.rows != PAD).sum(1).numpy()
        self.sampler = BatchSampler(lengths, batch_size=config.batch_size, seed=seed, bucket_batches=config.bucket_batches)
        self.deviation = data.train.features.std(0, correction=0).to(self.device)
        self.optimizer = adamw(model, config.optim)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.total_steps = config.epochs * len(self.sampler)
        self.rate = rate_schedule(config.schedule, self.total_steps, len(self.sampler))
        self.sums = _Sums()

    def restore(self, checkpoint: Checkpoint[CaptionProgress]) -> None:
        """Go on from a checkpoint."""
        load_learned(self.model, checkpoint.weights)
        load_optimizer_tensors(self.optimizer, checkpoint.optimizer)
        self.best, self.progress = checkpoint.best, checkpoint.progress
        progress = checkpoint.progress
        self.sums = _Sums(progress.captions, progress.loss_sum, progress.right, progress.units)

    def train_epoch(self) -> None:
        """The steps that remain of the epoch under way."""
        self.model.train()
        batches = self.sampler.epoch(self.progress.epoch)
        for batch in batches[self.progress.batch :]:
            self._step(batch)
            self.tell_step(last=self.progress.batch == len(batches))

    def _step(self, batch: npt.NDArray[np.int64]) -> None:
        progress = self.progress
        seed_everything(derive_seed(self.seed, "step", progress.epoch, progress.batch), self.device)
        set_rate(self.optimizer, self.rate(progress.step))
        features, rows = self.data.train.batch(batch, self.device)
        if self.config.feature_noise:
            features = features + self.config.feature_noise * self.deviation * torch.randn_like(features)
        noise = torch.randn(len(rows), self.model.config.sentence_width, device=self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model.loss(features, rows, noise)
        loss.total.backward()
        if self.config.optim.clip_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.optim.clip_norm)
        self.optimizer.step()
        self.sums.add(loss, len(rows))
        progress.step += 1
        progress.batch += 1

    def train_figures(self) -> dict[str, float]:
        """Loss and accuracy as they were on the way."""
        figures = self.sums.figures()
        self.sums = _Sums()
        return figures

    def validate(self) -> dict[str, float]:
        """Figures of the validation captions."""
        assert self.data.validation is not None
        return caption_figures(self.model, self.data.validation, self.config.evaluation_batch)

    def result(self) -> ImageToUnitsResult:
        """The training's outcome."""
        if self.config.selection == "best" and self.best is not None:
            load_learned(self.model, self.best)
        self.model.eval()
        self.tick()
        progress, epoch = self.progress, self.chosen_epoch()
        return ImageToUnitsResult(progress.history, epoch, progress.stopped, progress.seconds, progress.history[epoch - 1]["validation"])

    def checkpoint(self) -> Checkpoint[CaptionProgress]:
        """The training as it stands."""
        progress, sums = self.progress, self.sums
        progress.captions, progress.loss_sum = sums.captions, float(sums.loss)
        progress.right, progress.units = int(sums.right), int(sums.units)
        return Checkpoint(progress, learned(self.model), optimizer_tensors(self.optimizer), None, self.best)

    def keep(self) -> Weights:
        """A copy of what was evaluated."""
        return copy_of(learned(self.model), "cpu")

    def rates(self) -> dict[str, float]:
        """The one rate."""
        return learning_rates(self.optimizer)

    def mean_loss(self) -> float:
        """Over captions."""
        return self.sums.figures()["loss"]


@dataclass
class _Sums:
    """Sums over the captions of an epoch, which wait on the device until they are asked for."""

    captions: int = 0
    loss: Tensor | float = 0.0
    right: Tensor | int = 0
    units: Tensor | int = field(default=0)

    def add(self, loss: Loss, captions: int) -> None:
        self.captions += captions
        self.loss = self.loss + loss.total.detach().double() * captions
        self.right = self.right + loss.right
        self.units = self.units + loss.units

    def figures(self) -> dict[str, float]:
        return {"loss": float(self.loss) / max(1, self.captions), "accuracy": float(self.right) / max(1, int(self.units))}
