"""What all training loops are: epochs of steps, evaluated, selected by, reported, and ended by patience.

    class _Training(EpochLoop[LanguageProgress]): ...       # what a step is, what is measured, what is kept
    training.run()

A loop is continued from a `Checkpoint`, within an epoch too, and ends with the same weights and figures as one that was never
interrupted: whatever is drawn at random in a step comes from a seed that is a function of the run's seed and the step.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Protocol

from rapport.core.errors import RapportError
from rapport.training.checkpoint import Checkpoint, ProgressT
from rapport.training.numerics import finite
from rapport.training.report import Report, Reporting
from rapport.training.weights import Weights


class LoopConfig(Protocol):
    """The settings that a loop reads here."""

    @property
    def epochs(self) -> int:
        """Passes over the training examples."""
        ...

    @property
    def selection(self) -> Literal["best", "last"]:
        """Which epoch's weights become the model."""
        ...

    @property
    def select_by(self) -> str:
        """What the best epoch is best at on validation."""
        ...

    @property
    def patience(self) -> int:
        """Evaluations without a better one before it stops; 0 trains all epochs."""
        ...

    @property
    def evaluate_every(self) -> int:
        """Epochs between evaluations."""
        ...

    @property
    def save_every_epochs(self) -> int:
        """Epochs between checkpoints."""
        ...

    @property
    def save_every_steps(self) -> int:
        """Optimiser steps between checkpoints within an epoch; 0 saves none."""
        ...


class EpochLoop(ABC, Generic[ProgressT]):
    """The state of one training on one worker, and what is done to it."""

    lower_is_better: frozenset[str] = frozenset({"loss"})
    """Figures of which the lowest is the best."""
    total_steps: int

    def __init__(self, config: LoopConfig, report: Callable[[Report], None], progress: ProgressT, *, validates: bool, missing: str) -> None:
        """`validates` says whether there is anything to validate on, and `missing` what to do when there is not."""
        if not validates and (config.selection == "best" or config.patience):
            raise RapportError(f"there are no {missing}, or set selection to last and patience to 0")
        self.loop, self.report, self.progress, self.validates = config, report, progress, validates
        self.urgent = report.urgent if isinstance(report, Reporting) else None
        self.owed = False
        self.best: Weights | None = None
        self.clock = time.monotonic()

    @abstractmethod
    def train_epoch(self) -> None:
        """The steps that remain of the epoch under way."""

    @abstractmethod
    def train_figures(self) -> Mapping[str, Any]:
        """Figures of the training examples of the epoch that ends, `loss` among them; then the sums behind them begin anew."""

    @abstractmethod
    def validate(self) -> Mapping[str, Any]:
        """Figures of the validation examples."""

    @abstractmethod
    def rates(self) -> dict[str, float]:
        """The current learning rate of each part."""

    @abstractmethod
    def mean_loss(self) -> float:
        """Mean training loss of the epoch so far on this worker."""

    @abstractmethod
    def keep(self) -> Weights:
        """Copies of the weights that may become the model."""

    @abstractmethod
    def checkpoint(self) -> Checkpoint[ProgressT]:
        """The training as it stands, with `progress` brought up to date."""

    def further(self) -> Mapping[str, Any]:
        """More to tell of an epoch than figures, such as its pace; taken before its validation."""
        return {}

    def run(self) -> None:
        """Train what remains."""
        while self.progress.epoch < self.loop.epochs and not self.progress.stopped:
            self.train_epoch()
            self.finish_epoch()

    def finish_epoch(self) -> None:
        """Evaluate if it is time, keep the weights if they are the best, and tell."""
        progress, loop = self.progress, self.loop
        further = self.further()
        train = self.train_figures()
        finite(train["loss"], progress.step)
        final = progress.epoch + 1 == loop.epochs
        validation = self.validate() if self.validates and (final or (progress.epoch + 1) % loop.evaluate_every == 0) else None
        progress.epoch, progress.batch = progress.epoch + 1, 0
        record: dict[str, Any] = {
            "epoch": progress.epoch,
            "step": progress.step,
            "learning_rate": self.rates(),
            "train": dict(train),
            "validation": None if validation is None else dict(validation),
            **further,
        }
        if validation is not None:
            record["best"] = self._select(validation)
        progress.stopped = bool(loop.patience) and progress.stale >= loop.patience
        record["seconds"] = self.tick()
        progress.history.append(record)
        self.tell(record=record, save=final or progress.stopped or self.owed or progress.epoch % loop.save_every_epochs == 0)

    def tell_step(self, *, last: bool) -> None:
        """Report a step, with a checkpoint if it is time for one or one was asked for; after the `last` of an epoch, the epoch has it."""
        step, every = self.progress.step, self.loop.save_every_steps
        # Every worker asks at every step, whatever it knows already: the answer is one that all wait for.
        self.owed = (self.urgent is not None and self.urgent(step)) or self.owed
        self.tell(save=(self.owed or (bool(every) and step % every == 0)) and not last)

    def tell(self, *, save: bool, record: dict[str, Any] | None = None) -> None:
        """Report the step, and with `save` offer a checkpoint."""
        progress, offered = self.progress, None
        if save:
            self.owed = False
            self.tick()
            offered = self.checkpoint()
            finite(progress.loss_sum, progress.step)
        self.report(Report(progress.epoch, progress.step, self.total_steps, self.rates(), self.mean_loss, record, offered))

    def chosen_epoch(self) -> int:
        """The epoch whose weights become the model, from 1."""
        return (self.progress.best_epoch if self.loop.selection == "best" else self.progress.epoch) or 0

    def tick(self) -> float:
        """Add the time since the last call to the training's; gives the sum."""
        now = time.monotonic()
        self.progress.seconds += now - self.clock
        self.clock = now
        return self.progress.seconds

    def _select(self, figures: Mapping[str, Any]) -> bool:
        """Keep the weights if they are the best so far; says whether they are."""
        progress, name = self.progress, self.loop.select_by
        score = -float(figures[name]) if name in self.lower_is_better else float(figures[name])
        if progress.best_score is not None and score <= progress.best_score:
            progress.stale += 1
            return False
        progress.best_score, progress.best_epoch, progress.stale = score, progress.epoch, 0
        if self.loop.selection == "best":
            self.best = self.keep()
        return True
