"""Settings of the training that teaches an agent to say what it sees. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.training.config import AdamWConfig, ScheduleConfig


class ImageToUnitsTrainingConfig(Config):
    """One training of an image-to-unit model."""

    epochs: int = Field(default=30, ge=1)
    """Passes over the captions."""
    batch_size: int = Field(default=32, ge=1)
    """Captions in one step."""
    bucket_batches: int = Field(default=4, ge=1)
    """Captions are sorted by length within shuffled groups of this many batches, to save padding; 1 does not sort."""
    optim: AdamWConfig = AdamWConfig(lr=2e-3)
    """Optimiser."""
    schedule: ScheduleConfig = ScheduleConfig(name="onecycle", cycle_momentum=False)
    """Learning rate over time."""
    feature_noise: float = Field(default=0.0, ge=0, le=2)
    """Deviation of the noise on features in training, as a share of each feature's own over the training pictures."""
    selection: Literal["best", "last"] = "best"
    """Which epoch's weights become the model: the best on validation, or the last, which needs no validation captions."""
    select_by: Literal["accuracy", "loss"] = "accuracy"
    """What the best epoch is best at on validation: the share of units that are foreseen, each after the right ones, or the loss."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without a better one; 0 trains all epochs."""
    evaluate_every: int = Field(default=1, ge=1)
    """Epochs between evaluations on the validation captions; the last epoch is always evaluated."""
    evaluation_batch: int = Field(default=128, ge=1)
    """Captions in one evaluation batch."""
    save_every_steps: int = Field(default=0, ge=0)
    """Optimiser steps between checkpoints within an epoch; 0 saves at the ends of epochs only."""
    save_every_epochs: int = Field(default=5, ge=1)
    """Epochs between checkpoints; the last epoch is always saved."""


def published_training() -> ImageToUnitsTrainingConfig:
    """As published for the food task: Adam at an even 1e-4, 100 epochs (20 for the corners)."""
    return ImageToUnitsTrainingConfig(epochs=100, optim=AdamWConfig(lr=1e-4, clip_norm=0.0), schedule=ScheduleConfig(name="constant"))
