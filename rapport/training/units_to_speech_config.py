"""Settings of the training of Tacotron 2 over units. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.training.config import AdamWConfig, ScheduleConfig


class UnitsToSpeechTrainingConfig(Config):
    """One training; the defaults are as published for the food task."""

    epochs: int = Field(default=241, ge=1)
    """Passes over the utterances."""
    batch_size: int = Field(default=256, ge=1)
    """Utterances in one step."""
    bucket_batches: int = Field(default=1, ge=1)
    """Utterances are sorted by length within shuffled groups of this many batches, to save padding; 1 does not sort."""
    optim: AdamWConfig = AdamWConfig(lr=1e-3, weight_decay=1e-6, eps=1e-6, clip_norm=1.0)
    """Optimiser."""
    schedule: ScheduleConfig = ScheduleConfig(name="constant")
    """Learning rate over time."""
    selection: Literal["best", "last"] = "last"
    """Which epoch's weights become the model: the last, as published, or the best on validation."""
    select_by: Literal["loss"] = "loss"
    """What the best epoch is best at on validation."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without a better one; 0 trains all epochs."""
    evaluate_every: int = Field(default=10, ge=1)
    """Epochs between evaluations on the validation utterances; the last epoch is always evaluated."""
    save_every_steps: int = Field(default=0, ge=0)
    """Optimiser steps between checkpoints within an epoch; 0 saves at the ends of epochs only."""
    save_every_epochs: int = Field(default=20, ge=1)
    """Epochs between checkpoints; the last epoch is always saved."""
