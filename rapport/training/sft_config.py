"""Settings of the training of language models. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config
from rapport.training.config import AdamWConfig

FREE = (
    "strategy",
    "zero_stage",
    "gradient_checkpointing",
    "loader_threads",
    "evaluation_tokens",
    "save_every_steps",
    "save_every_epochs",
)
"""Settings of `SftConfig` that change neither the weights nor the figures."""


class SftConfig(Config):
    """One supervised training of a language model, whatever its model and data."""

    strategy: Literal["ddp", "fsdp", "deepspeed"] = "ddp"
    """How workers share the model: each holds all of it, or a shard (torch's FSDP2, or DeepSpeed's ZeRO). The same is learned, and a
    training goes on under another strategy from the same checkpoint."""
    zero_stage: Literal[1, 2, 3] = 3
    """What `deepspeed` shards: optimiser state; gradients too; weights too."""
    epochs: int = Field(default=5, ge=1)
    """Passes over the training examples."""
    batch_tokens: int = Field(default=8192, ge=16)
    """Tokens of one forward pass on one worker, padding included."""
    batch_rows: int | None = Field(default=None, ge=1)
    """Most examples of one forward pass; no limit but `batch_tokens` when not given."""
    batches_per_step: int = Field(default=1, ge=1)
    """Forward passes whose gradients make one optimiser step, over all workers together, so that the number of workers does not change
    what is learned."""
    pool_batches: int = Field(default=50, ge=1)
    """Examples are sorted by length within shuffled pools of this many batches, to save padding; 1 does not sort."""
    optim: AdamWConfig = AdamWConfig()
    """Optimiser."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls from its peak to the floor."""
    warmup_ratio: float = Field(default=0.05, ge=0, lt=1)
    """Share of all steps in which the rate rises to its peak."""
    floor: float = Field(default=0.0, ge=0, le=1)
    """Last rate as a share of the peak."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of forward and backward passes, with weights and optimiser in float32; auto is bf16 where the hardware computes in it."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """How attention is computed, with the same result but for rounding. `eager` keeps every weight of it, and learns short sequences in
    bfloat16 faster on a CPU; `flash_attention_2` needs a GPU and the package flash-attn."""
    gradient_checkpointing: bool = False
    """Keep no activations inside decoder layers and compute them again in the backward pass: less memory, a third more time."""
    selection: Literal["best", "last"] = "best"
    """Which epoch's weights become the model: the best on validation, or the last, which needs no validation examples."""
    select_by: Literal["loss", "teacher_forced_token_accuracy"] = "loss"
    """What the best epoch is best at on validation. The accuracy is of each token given the right tokens before it, which a model that
    answers freely does not have."""
    patience: int = Field(default=0, ge=0)
    """Stop after this many evaluations without a better one; 0 trains all epochs."""
    evaluate_every: int = Field(default=1, ge=1)
    """Epochs between evaluations on the validation examples; the last epoch is always evaluated."""
    evaluation_tokens: int = Field(default=16384, ge=16)
    """Tokens of one evaluation batch on one worker, padding included."""
    save_every_steps: int = Field(default=0, ge=0)
    """Optimiser steps between checkpoints within an epoch; 0 saves at the end of epochs only."""
    save_every_epochs: int = Field(default=1, ge=1)
    """Epochs between checkpoints."""
    loader_threads: int | None = Field(default=None, ge=0, le=64)
    """Threads that make batches ahead of the network in each worker; by default 0 on a CPU and 4 on a GPU."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.selection == "last" and self.patience:
            raise ValueError("patience stops after the best epoch, and selection is last: set selection to best, or patience to 0")
        return self
