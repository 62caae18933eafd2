"""A branch that tells corpora apart behind a gradient reversal (Ganin et al. 2016): the encoder learns what does not."""

import math
from typing import Any

import torch
from torch import Tensor, nn


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(values: Tensor, strength: float) -> Tensor:
    """`values`, whose gradient is multiplied by `-strength` on the way back."""
    return _Reversal.apply(values, strength)


def ramp(progress: float) -> float:
    """The share of the full strength at `progress` (0 to 1) of training: 0 at first, near 1 from the middle on."""
    return 2 / (1 + math.exp(-10 * min(max(progress, 0.0), 1.0))) - 1


class DomainBranch(nn.Module):
    """Corpus logits [B, C] from the mean of a clip's frames [B, D]."""

    def __init__(self, width: int, hidden: int, domains: int, dropout: float, strength: float) -> None:
        super().__init__()
        self.full_strength = strength
        self.strength = strength
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, domains))

    def set_progress(self, progress: float) -> None:
        """Scale the reversal to its ramp at `progress` (0 to 1) of training; until called, it has its full strength."""
        self.strength = self.full_strength * ramp(progress)

    def forward(self, mean: Tensor) -> Tensor:
        """The logits; the gradient that reaches `mean` is reversed."""
        return self.layers(reverse_gradient(mean, self.strength))
