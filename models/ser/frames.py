"""Sequences of frames of unequal length in one batch. Axes: B batch, T frames, D width."""

from typing import NamedTuple

import torch
from torch import Tensor


class Frames(NamedTuple):
    """What an encoder gives: frames, and how many of each clip are valid."""

    values: Tensor
    """[B, T, D]; what lies beyond a clip's length means nothing."""
    lengths: Tensor
    """[B] int64, at least 1."""


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """[B, T] true where a frame is valid, given the number of valid frames [B]."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[B, D] the mean of the valid frames of `values` [B, T, D], given `mask` [B, T]."""
    # Filled first: whatever the padding holds, NaN included, must not reach the sum.
    total = values.masked_fill(~mask[..., None], 0).sum(1)
    return total / mask.sum(1, keepdim=True)


def mask_block(values: Tensor, lengths: Tensor, widest: Tensor, dim: int, narrowest: int = 0) -> Tensor:
    """`values` with one random block along `dim` set to 0 in every item of the batch.

    A block is U{narrowest..widest} entries and lies within the first `lengths` entries, where there are so many; both are [B].
    Draws from torch's global CPU generator.
    """
    draws = torch.rand(2, len(values)).to(values.device)
    widest = widest.minimum(lengths)
    narrow = widest.clamp(max=narrowest)
    width = (narrow + draws[0] * (widest - narrow + 1)).long().minimum(widest)  # a draw just below 1 may round up
    start = (draws[1] * (lengths - width + 1)).long().minimum(lengths - width)
    position = torch.arange(values.shape[dim], device=values.device)
    inside = (position >= start[:, None]) & (position < (start + width)[:, None])  # [B, size of dim]
    shape = [len(values)] + [1] * (values.dim() - 1)
    shape[dim] = values.shape[dim]
    return values.masked_fill(inside.view(shape), 0)
