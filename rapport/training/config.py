"""Settings of the training loops. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config


class OptimConfig(Config):
    """AdamW with one rate for a pretrained encoder and one for everything that began at random; norms and biases are not decayed."""

    lr: float = Field(default=2e-3, gt=0, le=1)
    """Peak learning rate of what began at random: the embedded encoder, adapters, pooling, head."""
    encoder_lr: float | None = Field(default=None, gt=0, le=1)
    """Peak learning rate of a pretrained encoder's own weights; `lr` when not given."""
    weight_decay: float = Field(default=0.02, ge=0, le=1)
    """Decoupled weight decay on matrices; 0 makes this plain Adam."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of the running mean of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the running square."""
    clip_norm: float = Field(default=2.0, ge=0)
    """Largest norm of the whole gradient; 0 does not clip."""


class AdamWConfig(Config):
    """AdamW with one rate for everything that trains; vectors (norms, biases) are not decayed."""

    lr: float = Field(default=2e-4, gt=0, le=1)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Decoupled weight decay on matrices."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running mean of the gradient and of its square."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the running square."""
    clip_norm: float = Field(default=1.0, ge=0)
    """Largest norm of the whole gradient; 0 does not clip."""


class ScheduleConfig(Config):
    """How the learning rates move from step to step, as a factor on their peaks."""

    name: Literal["constant", "linear", "cosine", "cosine_warm_restarts", "onecycle"] = "onecycle"
    """linear and cosine fall from the peak to the floor; cosine_warm_restarts falls again and again over growing periods; onecycle rises
    to the peak and falls far below where it began (Smith and Topin 2018)."""
    unit: Literal["step", "epoch"] = "epoch"
    """What `warmup`, `length` and `period` are counted in. The rate moves at every step either way."""
    warmup: float = Field(default=0.0, ge=0)
    """Linear rise from near zero before the schedule begins."""
    length: float | None = Field(default=None, gt=0)
    """How long linear and cosine take from peak to floor; the rest of the training when not given. A cosine rises again after it."""
    period: float = Field(default=10.0, gt=0)
    """First period of cosine_warm_restarts."""
    period_factor: float = Field(default=2.0, ge=1)
    """Each period is this many times as long as the one before."""
    floor: float = Field(default=0.0, ge=0, le=1)
    """Lowest rate of linear, cosine and cosine_warm_restarts, as a share of the peak."""
    rise: float = Field(default=0.2, gt=0, lt=1)
    """onecycle: share of the training spent rising."""
    start_divisor: float = Field(default=25.0, ge=1)
    """onecycle: begin at the peak divided by this."""
    end_divisor: float = Field(default=1e4, ge=1)
    """onecycle: end at the first rate divided by this."""
    cycle_momentum: bool = True
    """onecycle: lower the first beta to 0.85 while the rate is high, and raise it to 0.95 while it is low, as the method asks."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name == "onecycle" and self.warmup:
            raise ValueError("onecycle rises by itself: set warmup to 0, or change rise")
        return self


class LossConfig(Config):
    """Cross-entropy and its variants for unequal classes and noisy labels."""

    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of the target spread evenly over all emotions."""
    class_weight_power: float = Field(default=0.7, ge=0, le=1)
    """Clips are weighted by (clips of their emotion) ** -power: 0 weighs clips alike, 1 weighs emotions alike. Not with `balanced`."""
    focal_gamma: float = Field(default=0.0, ge=0, le=10)
    """Focal loss: clips that are already right count less by (1 - p) ** gamma; 0 is cross-entropy."""
    own_emotions_only: bool = False
    """Of several corpora: do not teach that an emotion which a clip's corpus lacks never happens."""
    triplet_weight: float = Field(default=0.0, ge=0)
    """Weight of a batch-hard triplet loss on the pooled vectors (Hermans et al. 2017); 0 leaves it out."""
    triplet_margin: float = Field(default=0.3, gt=0, le=2)
    """How much nearer a clip should be to its own emotion than to any other, between unit vectors."""
    domain_shared_emotions_only: bool = True
    """The domain branch does not learn from emotions that a single corpus has, whose corpus follows from the emotion."""


class ClassifierConfig(Config):
    """One training of a classifier, whatever its model and data."""

    epochs: int = Field(default=60, ge=1)
    """Passes over the training clips."""
    batch_size: int = Field(default=32, ge=1)
    """Clips in one forward pass over all workers together, so that the number of workers does not change what is learned."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes whose gradients are summed into one optimiser step."""
    bucket_batches: int = Field(default=4, ge=1)
    """Clips are sorted by length within shuffled groups of this many batches, to save padding; 1 does not sort."""
    balanced: bool = False
    """Draw every emotion equally often, repeating clips of rare ones."""
    optim: OptimConfig = OptimConfig()
    """Optimiser."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rates over time."""
    loss: LossConfig = LossConfig()
    """Training loss."""
    mixup: float = Field(default=0.3, ge=0)
    """Blend pairs of clips with a weight drawn from Beta(mixup, mixup) (Zhang et al. 2018); 0 does not."""
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """Decay of a running mean of the weights; when above 0, that mean is what is evaluated, selected and saved."""
    domain_ramp: float = Field(default=1.0, ge=0, le=1)
    """Share of the training over which the domain branch's reversed gradient grows to its full strength; 0 has it from the start."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass while training; auto is bf16 where the hardware computes in it. Evaluation is always float32."""
    selection: Literal["best", "last"] = "best"
    """Which epoch's weights become the model: the best on validation, or the last, which needs no validation clips."""
    select_by: Literal["uar", "wa", "macro_f1", "loss"] = "uar"
    """What the best epoch is best at on validation."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without a better one; 0 trains all epochs."""
    evaluate_every: int = Field(default=1, ge=1)
    """Epochs between evaluations on the validation clips; the last epoch is always evaluated."""
    evaluation_batch_s: float = Field(default=240.0, gt=0)
    """Seconds of padded speech in one evaluation batch."""
    save_every_steps: int = Field(default=0, ge=0)
    """Optimiser steps between checkpoints within an epoch; 0 saves at the end of epochs only."""
    save_every_epochs: int = Field(default=1, ge=1)
    """Epochs between checkpoints."""
    loader_threads: int | None = Field(default=None, ge=0, le=64)
    """Threads that read and augment clips ahead of the network in each worker; by default 0 on a CPU and 4 on a GPU."""


class TrackingConfig(Config):
    """Where the figures of a training go, besides `metrics.jsonl` in its run folder."""

    tensorboard: bool = True
    """Write TensorBoard scalars into the run folder."""
    log_every_steps: int = Field(default=20, ge=1)
    """Steps between points of the curves by step (loss, learning rates)."""
    mlflow_uri: str | None = None
    """MLflow tracking server, such as http://127.0.0.1:5000; needs the extra `mlflow`."""
    mlflow_experiment: str = "rapport"
    """MLflow experiment that the run is filed under."""
