"""Settings of the training of head motion. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config
from rapport.training.config import AdamWConfig, ScheduleConfig


class MotionLossConfig(Config):
    """What makes motion wrong. Errors are counted in deviations of the training motion, so that every angle matters alike."""

    position: Literal["huber", "squared"] = "huber"
    """How errors of the pose count: squared as far as one deviation and evenly beyond it, or squared throughout as published."""
    position_weight: float = Field(default=1.0, ge=0)
    """Weight of the error of the pose."""
    velocity_weight: float = Field(default=0.1, ge=0)
    """Weight of the error of the velocity, in deviations a second (Huber)."""
    correlation_weight: float = Field(default=0.5, ge=0)
    """Weight of 1 - r, the mean over turns and angles; of motion of the right form and the wrong size, only this is content."""
    likelihood_weight: float = Field(default=0.1, ge=0)
    """Weight of the negative log likelihood, in nats, where the head is gaussian."""
    offset: float = Field(default=0.1, ge=0, le=1)
    """How much of a turn's mean error counts, in all but the correlation. Of where the head is held the voice tells little, and a network
    that is made to guess learns the turns by heart; with 0 not even the mean over all turns would be learned."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.position_weight + self.likelihood_weight:
            raise ValueError("position_weight and likelihood_weight are both 0: one has to tell where the head should be")
        return self


class PlateauConfig(Config):
    """Lower rates once the training loss no longer falls, as torch's ReduceLROnPlateau does; a factor on those of the schedule."""

    patience: int = Field(default=0, ge=0)
    """Epochs without a better loss that are borne; the next one lowers the rates. 0 never does."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    """Rates become so many times as high."""
    threshold: float = Field(default=0.01, ge=0, lt=1)
    """A loss is better when it lies below the best by more than this share."""


class MotionConfig(Config):
    """One training of a model of head motion."""

    epochs: int = Field(default=40, ge=1)
    """Passes over the training turns."""
    crop_s: float = Field(default=10.0, ge=0)
    """A longer turn is learned from stretches of this length, as many as fit, drawn anew in each epoch; 0 learns from whole turns."""
    warmup_s: float = Field(default=4.0, ge=0)
    """What is heard before a stretch that does not begin its turn, and is not scored: so far a network may remember."""
    batch_size: int = Field(default=16, ge=1)
    """Stretches in one step."""
    bucket_batches: int = Field(default=4, ge=1)
    """Stretches are sorted by length within shuffled groups of this many batches, to save padding; 1 does not sort."""
    optim: AdamWConfig = AdamWConfig(lr=2e-3, weight_decay=0.01, betas=(0.9, 0.98))
    """Optimiser."""
    schedule: ScheduleConfig = ScheduleConfig(name="cosine", unit="epoch", warmup=1.0)
    """Learning rate over time."""
    plateau: PlateauConfig = PlateauConfig()
    """Learning rate by the training loss."""
    loss: MotionLossConfig = MotionLossConfig()
    """Training loss."""
    ema_decay: float = Field(default=0.99, ge=0, lt=1)
    """Decay of a running mean of the weights; when above 0, that mean is what is evaluated, selected and saved."""
    selection: Literal["best", "last"] = "best"
    """Which epoch's weights become the model: the best on validation, or the last, which needs no validation turns."""
    select_by: Literal["offset_removed_mae_deg", "mae_deg", "correlation", "loss"] = "offset_removed_mae_deg"
    """What the best epoch is best at on validation."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without a better one; 0 trains all epochs."""
    evaluate_every: int = Field(default=1, ge=1)
    """Epochs between evaluations on the validation turns; the last epoch is always evaluated."""
    evaluation_batch_s: float = Field(default=240.0, gt=0)
    """Seconds of padded motion in one evaluation batch."""
    save_every_steps: int = Field(default=0, ge=0)
    """Optimiser steps between checkpoints within an epoch; 0 saves at the end of epochs only."""
    save_every_epochs: int = Field(default=1, ge=1)
    """Epochs between checkpoints."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.selection == "last" and self.patience:
            raise ValueError("patience stops after the best epoch, and selection is last: set selection to best, or patience to 0")
        return self
