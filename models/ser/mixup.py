"""Mixup (Zhang et al. 2018): clips and their labels are averaged in pairs while training."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mix(NamedTuple):
    """How each clip of a batch is mixed with a partner: `share * clip + (1 - share) * clip[partner]`."""

    partner: Tensor
    """[B] int64, a permutation of the batch."""
    share: Tensor
    """[B] float in [0.5, 1], the weight of the clip itself."""

    def blend(self, values: Tensor) -> Tensor:
        """The mixed values, of the shape of `values` [B, ...]: inputs or soft targets."""
        share = self.share.to(values).view(-1, *[1] * (values.dim() - 1))
        return share * values + (1 - share) * values[self.partner.to(values.device)]

    def longest(self, lengths: Tensor) -> Tensor:
        """[B] the lengths of the mixed clips: of the longer of each pair."""
        return torch.maximum(lengths, lengths[self.partner.to(lengths.device)])


def draw_mix(batch: int, alpha: float, *, per_clip: bool = False) -> Mix | None:
    """A random mix with shares from Beta(alpha, alpha), or None when `alpha` is 0; one share for the batch, or one per clip.

    Draws from the global CPU generator of torch, whose state a checkpoint keeps.
    """
    if alpha <= 0:
        return None
    partner = torch.randperm(batch)
    # Beta(a, a) as a ratio of Gamma(a) draws: torch.distributions would do the same with more ceremony.
    first, second = torch._standard_gamma(torch.full((2, batch if per_clip else 1), alpha))
    share = first / (first + second).clamp(min=1e-12)
    return Mix(partner, torch.maximum(share, 1 - share).expand(batch))
