"""The loss of a language model over the positions that are learned; logits are made for these only.

Axes: B batch, N tokens, H width, V vocabulary, M supervised positions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.utils import ModelOutput

IGNORED = -100
"""The label of a position that is read and not learned."""

_LOSS_ROWS = 2048
"""Logits of so many positions are turned to float32 at once: with 129 k tokens a GiB."""


@dataclass
class LmOutput(ModelOutput):
    """Sums over the supervised positions of a batch, so that batches of unequal size can be added up. A `ModelOutput`, because the
    wrappers of distributed training look for tensors inside those."""

    loss_sum: Tensor | None = None
    """[] float32, cross-entropy in nats; carries the gradient."""
    token_count: Tensor | None = None
    """[] int64, supervised positions."""
    correct: Tensor | None = None
    """[] int64, positions at which the likeliest token is the right one, given the right tokens before it."""


def supervised_loss(states: Tensor, labels: Tensor, logits_of: Callable[[Tensor], Tensor]) -> LmOutput:
    """Loss and hits, given the last layer's output [B, N, H] and labels [B, N], which lie where their token does: each is learned from
    the position before. `logits_of` turns [M, H] into [M, V].
    """
    targets = labels[:, 1:]
    supervised = targets != IGNORED
    wanted = targets[supervised]
    logits = logits_of(states[:, :-1][supervised])  # [M, V]
    with torch.no_grad():
        correct = (logits.argmax(-1) == wanted).sum()
    return LmOutput(loss_sum(logits, wanted), torch.tensor(len(wanted), device=wanted.device), correct)


def loss_sum(logits: Tensor, wanted: Tensor) -> Tensor:
    """Summed cross-entropy of logits [M, V] in any precision against ids [M]."""
    if len(wanted) <= _LOSS_ROWS:
        return _cross_entropy(logits, wanted)
    pieces = zip(logits.split(_LOSS_ROWS), wanted.split(_LOSS_ROWS), strict=True)
    # Each piece's float32 copy and softmax are made again in the backward pass rather than kept.
    return torch.stack([checkpoint(_cross_entropy, *piece, use_reentrant=False) for piece in pieces]).sum()


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
