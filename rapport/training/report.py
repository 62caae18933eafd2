"""What a training tells while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rapport.training.checkpoint import Checkpoint


@dataclass(frozen=True)
class Report:
    """What a training tells after each optimiser step, and once more after each epoch."""

    epoch: int
    """Epochs finished."""
    step: int
    """Optimiser steps taken."""
    total_steps: int
    """Optimiser steps of the whole training, should patience not end it."""
    learning_rates: dict[str, float]
    """Rate of each part in this step: `encoder` and `head`, or `model`."""
    loss: Callable[[], float]
    """Mean training loss of the epoch so far on this worker. It waits for the device, so do not ask at every step."""
    record: dict[str, Any] | None = None
    """The figures of an epoch, when one has just finished."""
    checkpoint: Checkpoint[Any] | None = None
    """The training as it stands, when it is time to save it. Its tensors are the live ones: save before returning."""


@dataclass(frozen=True)
class Reporting:
    """Where reports go, and whether a checkpoint is wanted out of turn: `report` of a training may be one, or a plain function."""

    tell: Callable[[Report], None]
    urgent: Callable[[int], bool] | None = None
    """Asked after each optimiser step, with its number, by every worker: whether to save now. All workers must get the same answer."""

    def __call__(self, said: Report) -> None:
        self.tell(said)
