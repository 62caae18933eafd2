"""Supervised training of a language model: a plain loop that needs no cluster.

    result = train_language_model(model, data, config, seed=0, report=lambda report: None)

The loop tells every step to `report`, which may save the checkpoint offered to it; given back as `checkpoint`, the training goes on from
there, within an epoch too, and ends with the same weights and figures as one that was never interrupted. With several workers (a process
group), each runs this function on the same model and data; `config.strategy` says what they share.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from rapport.core.errors import RapportError
from rapport.training.checkpoint import Checkpoint, Progress
from rapport.training.clips import read_ahead
from rapport.training.config import ScheduleConfig
from rapport.training.loop import EpochLoop
from rapport.training.numerics import fast_bf16, seed_everything
from rapport.training.report import Report
from rapport.training.sampler import IntArray, derive_seed
from rapport.training.schedules import rate_schedule
from rapport.training.sft_config import SftConfig
from rapport.training.strategies import make_strategy
from rapport.training.token_batches import TokenBatches, evaluation_batches
from rapport.training.weights import Weights
from rapport.training.world import World

IGNORED = -100
"""The label of a position that is not learned."""


class TokenData(Protocol):
    """Examples as the loop reads them. Threads may call `batch` at once."""

    @property
    def lengths(self) -> IntArray:
        """[N] tokens of each example."""
        ...

    def batch(self, indices: IntArray) -> dict[str, Tensor]:
        """Keyword arguments of the model for these examples, padded, with `labels` [B, N]; IGNORED positions are not learned."""
        ...


@dataclass(frozen=True)
class LanguageData:
    """What one training reads."""

    train: TokenData
    validation: TokenData | None = None
    """Examples to select the model by."""
    tasks: Mapping[str, IntArray] = field(default_factory=dict)
    """Name to the indices of validation examples whose figures are told apart too, each example in one; without any, only all together."""


@dataclass
class LanguageProgress(Progress):
    """Where the training of a language model stands; `batch` counts the steps of the epoch under way."""

    tokens: int = 0
    """Supervised tokens of the epoch under way, on all workers."""
    correct: int = 0
    """How many of them were the likeliest, given the right ones before them."""


@dataclass(frozen=True)
class LanguageResult:
    """A finished training. The model itself is in whatever state its strategy left it in."""

    weights: Weights
    """The selected weights, whole and on the CPU; empty on all workers but the first."""
    last: Weights
    """Those after the last step, likewise."""
    history: list[dict[str, Any]]
    """The records of all epochs."""
    epoch: int
    """The epoch whose weights were selected, from 1."""
    stopped: bool
    """Whether patience ended the training."""
    seconds: float
    """Time spent in training and evaluation, over all sessions of a resumed one."""

    @property
    def validation(self) -> dict[str, Any] | None:
        """The selected epoch's figures on validation, with `per_task` where the data names tasks."""
        figures: dict[str, Any] | None = self.history[self.epoch - 1]["validation"]
        return figures


def train_language_model(
    model: nn.Module,
    data: LanguageData,
    config: SftConfig,
    *,
    seed: int = 0,
    report: Callable[[Report], None] = lambda report: None,
    checkpoint: Checkpoint[LanguageProgress] | None = None,
    device: torch.device | str = "cpu",
    pad_multiple: int = 1,
) -> LanguageResult:
    """The weights that `model` (whole, on the CPU, changed in place) learns, and how it went.

    The model takes the batches of `data` and gives `loss_sum`, `token_count` and `correct`, summed over supervised tokens. Its parameters
    that require gradients are learned. `pad_multiple` is what `data` rounds lengths up to. Raises RapportError when the settings do not
    fit the data, or when the loss stops being a number.
    """
    training = _Training(model, data, config, seed, report, checkpoint, torch.device(device), pad_multiple)
    training.run()
    return training.result()


class _Training(EpochLoop[LanguageProgress]):
    def __init__(
        self,
        model: nn.Module,
        data: LanguageData,
        config: SftConfig,
        seed: int,
        report: Callable[[Report], None],
        checkpoint: Checkpoint[LanguageProgress] | None,
        device: torch.device,
        pad_multiple: int,
    ) -> None:
        validates = data.validation is not None and len(data.validation.lengths) > 0
        missing = "validation examples to select an epoch or stop by: hold some out"
        super().__init__(config, report, checkpoint.progress if checkpoint else LanguageProgress(), validates=validates, missing=missing)
        self.data, self.config, self.seed = data, config, seed
        self.device, self.pad_multiple, self.world = device, pad_multiple, World.current()
        on_gpu = device.type == "cuda"
        self.threads = (4 if on_gpu else 0) if config.loader_threads is None else config.loader_threads
        bf16 = config.precision == "bf16" or (config.precision == "auto" and fast_bf16(on_gpu))
        self.batches = TokenBatches(
            data.train.lengths,
            batch_tokens=config.batch_tokens,
            batches_per_step=config.batches_per_step,
            batch_rows=config.batch_rows,
            pool_batches=config.pool_batches,
            multiple=pad_multiple,
            seed=seed,
            rank=self.world.rank,
            world_size=self.world.size,
        )
        self.total_steps = self.batches.total_steps(config.epochs)
        warmup = config.warmup_ratio * self.total_steps
        self.rate = rate_schedule(
            ScheduleConfig(name=config.schedule, unit="step", warmup=warmup, floor=config.floor), self.total_steps, self.total_steps
        )
        if config.attention != "sdpa":
            _prepared(model, "set_attention", "computes attention in its own way: set attention to sdpa")(config.attention)
        if config.gradient_checkpointing:
            _prepared(model, "gradient_checkpointing_enable", "cannot keep fewer activations: set gradient_checkpointing to false")()
        self.strategy = make_strategy(model, config, device, bf16, checkpoint.weights if checkpoint else None)
        self.totals = torch.zeros(3, dtype=torch.float64, device=device)
        if checkpoint is not None:
            self.strategy.load_optimizer(checkpoint.optimizer)
            if self.world.rank == 0:  # the totals in a checkpoint are those of all workers
                self.best = checkpoint.best
                self.totals += self.totals.new_tensor([self.progress.loss_sum, self.progress.tokens, self.progress.correct])
        self.factor = 0.0
        self.epoch_clock, self.epoch_tokens = self.clock, 0

    def train_epoch(self) -> None:
        """The steps that remain of the epoch under way."""
        self.strategy.network.train()
        steps = self.batches.epoch(self.progress.epoch)
        remaining = steps[self.progress.batch :]
        tasks = [partial(self._load, indices) for step in remaining for indices in step]
        loaded = read_ahead(tasks, self.threads)
        self.epoch_clock, self.epoch_tokens = time.monotonic(), 0
        for step in remaining:
            self._step([next(loaded) for _ in step])
            self.tell_step(last=self.progress.batch == len(steps))

    def further(self) -> dict[str, float]:
        """Tokens a second of the epoch, or of the part of it since it was continued."""
        pace = self.epoch_tokens / max(1e-9, time.monotonic() - self.epoch_clock)
        return {"tokens_per_s": pace * self.world.size}

    def train_figures(self) -> dict[str, float]:
        """Loss, perplexity and accuracy over all workers."""
        figures = _figures(self._summed(self.totals))
        self.totals.zero_()
        return figures

    def result(self) -> LanguageResult:
        """The training's outcome."""
        last = self.strategy.weights()
        self.tick()
        progress = self.progress
        selected = (self.best or {}) if self.config.selection == "best" else last
        return LanguageResult(selected, last, progress.history, self.chosen_epoch(), progress.stopped, progress.seconds)

    def _load(self, indices: IntArray) -> tuple[dict[str, Tensor], int, int]:
        """A micro-batch, its supervised tokens, and all its tokens; for a worker that has none a stand-in without supervised ones."""
        if not len(indices):
            return self.data.train.batch(_shortest(self.data.train)), 0, 0
        batch = self.data.train.batch(indices)
        return batch, int((batch["labels"][:, 1:] != IGNORED).sum()), int(self.data.train.lengths[indices].sum())

    def _step(self, group: list[tuple[dict[str, Tensor], int, int]]) -> None:
        """One optimiser step on the mean loss of all supervised tokens of a step, whichever worker and micro-batch they are in."""
        progress = self.progress
        seed_everything(derive_seed(self.seed, "step", progress.epoch, progress.batch, self.world.rank), self.device)
        self.factor = self.rate(progress.step).factor
        self.strategy.set_rate(self.factor)
        tokens = self._summed(torch.tensor([sum(count for _, count, _ in group)], dtype=torch.float64, device=self.device))[0]
        for place, (batch, count, read) in enumerate(group):
            # Workers average their gradients, so each counts as many times as there are workers.
            scale = self.world.size / max(1.0, tokens) if count else 0.0
            output = self.strategy.learn(self._moved(batch), scale, last=place == len(group) - 1)
            if count:
                self.totals += _sums(output)
                self.epoch_tokens += read
        self.strategy.step()
        progress.step += 1
        progress.batch += 1

    def validate(self) -> dict[str, Any]:
        """Figures on the validation examples, each token given the right ones before it; `per_task` those of each task."""
        examples, tasks = self.data.validation, self.data.tasks
        assert examples is not None
        self.strategy.network.eval()
        parts = tasks or {"": np.arange(len(examples.lengths))}
        totals = {name: self._answered(examples, indices) for name, indices in parts.items()}
        self.strategy.network.train()
        figures: dict[str, Any] = _figures(self._summed(torch.stack(list(totals.values())).sum(0)))
        if tasks:
            figures["per_task"] = {name: _figures(self._summed(total)) for name, total in totals.items()}
        return figures

    @torch.no_grad()
    def _answered(self, examples: TokenData, chosen: IntArray) -> Tensor:
        """[3] this worker's share of loss, tokens and hits of the chosen examples."""
        shares = evaluation_batches(
            examples.lengths[chosen],
            self.config.evaluation_tokens,
            multiple=self.pad_multiple,
            rank=self.world.rank,
            world_size=self.world.size,
        )
        shortest = _shortest(examples)
        totals = torch.zeros(3, dtype=torch.float64, device=self.device)
        tasks = [partial(examples.batch, chosen[indices] if len(indices) else shortest) for indices in shares]
        for indices, batch in zip(shares, read_ahead(tasks, self.threads), strict=True):
            output = self.strategy.answer(self._moved(batch))
            if len(indices):
                totals += _sums(output)
        return totals

    def checkpoint(self) -> Checkpoint[LanguageProgress]:
        """The training as it stands; the weights lie with the first worker."""
        progress = self.progress
        progress.loss_sum, tokens, correct = self._summed(self.totals)
        progress.tokens, progress.correct = int(tokens), int(correct)
        return Checkpoint(progress, self.strategy.weights(), self.strategy.optimizer_state(), None, self.best or None)

    def keep(self) -> Weights:
        """The weights as they are, whole, with the first worker."""
        return self.strategy.weights()

    def rates(self) -> dict[str, float]:
        """The one rate."""
        return {"model": self.config.optim.lr * self.factor}

    def mean_loss(self) -> float:
        """Over supervised tokens."""
        loss_sum, tokens, _ = self.totals.tolist()
        return float(loss_sum / max(1.0, tokens))

    def _moved(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def _summed(self, values: Tensor) -> list[float]:
        """The sum over workers, on every worker."""
        if self.world.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return [float(value) for value in values.tolist()]


def _shortest(data: TokenData) -> IntArray:
    """What a worker reads that has nothing to read."""
    return np.array([int(data.lengths.argmin())])


def _sums(output: Any) -> Tensor:
    return torch.stack([part.detach().double() for part in (output.loss_sum, output.token_count, output.correct)])


def _figures(totals: list[float]) -> dict[str, float]:
    """From sums over tokens to means; perplexity is e to the power of the loss, so far as a float holds it."""
    loss_sum, tokens, correct = totals
    loss = loss_sum / max(1.0, tokens)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "teacher_forced_token_accuracy": correct / max(1.0, tokens),
        "tokens": int(tokens),
    }


def _prepared(model: nn.Module, method: str, otherwise: str) -> Callable[..., Any]:
    """What of a model is asked for by a setting and not every model has."""
    found: Callable[..., Any] | None = getattr(model, method, None)
    if found is None:
        raise RapportError(f"a {type(model).__name__} {otherwise}")
    return found
