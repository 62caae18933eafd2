"""Residual vectors to rows of the language model's input.

    tile      [r; r; r] cut to the width        one row a frame, nothing learned: 1024 three times is 3072 in the published form
    linear    W ((r - mean) / deviation) + b    one row a frame
    strided   the same of groups of frames      one row a group; the last group of a clip may be short

Axes: B batch, T frames, D residual width, G rows, H width of the language model. Clips lie end to end: [ΣT, D] in, [ΣG, H] out.
"""

import torch
from torch import Tensor, nn

from rapport.models.emosds.config import InjectionConfig


class TiledInjection(nn.Module):
    """Every frame, repeated along the width."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden

    def slots(self, lengths: Tensor) -> Tensor:
        """[B] rows of clips of [B] frames."""
        return lengths

    def forward(self, residuals: Tensor, lengths: Tensor) -> Tensor:
        """[ΣT, H] given [ΣT, D]."""
        return residuals.repeat(1, -(-self.hidden // self.width))[:, : self.hidden]


class ProjectedInjection(nn.Module):
    """Groups of `stride` frames, pooled and projected; the scale of the input is fitted before training, see `fit_scale`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, hidden: int, stride: int = 1, pooling: str = "mean") -> None:
        super().__init__()
        self.stride = stride
        self.side_by_side = pooling == "concat" and stride > 1
        self.projection = nn.Linear(width * (stride if self.side_by_side else 1), hidden)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    @property
    def scaled(self) -> bool:
        """Whether `fit_scale` has run."""
        return bool((self.deviation != 1).any())

    def slots(self, lengths: Tensor) -> Tensor:
        """[B] rows of clips of [B] frames."""
        return (lengths + self.stride - 1) // self.stride

    def fit_scale(self, residuals: Tensor) -> None:
        """Take mean and deviation of each dimension from a sample [T, D] of the training residuals."""
        sample = residuals.double()
        self.mean.copy_(sample.mean(0))
        self.deviation.copy_(sample.std(0).clamp(min=1e-6))

    def forward(self, residuals: Tensor, lengths: Tensor) -> Tensor:
        """[ΣG, H] given [ΣT, D]."""
        scaled = ((residuals - self.mean) / self.deviation).to(self.projection.weight.dtype)
        if self.stride > 1:
            scaled = self._pool(scaled, lengths)
        projected: Tensor = self.projection(scaled)
        return projected

    def _pool(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """[ΣG, D], or [ΣG, stride * D] side by side with zeros where the last group is short."""
        groups = self.slots(lengths)
        total = int(groups.sum())
        # For every frame: its place within its clip, and the first group of that clip.
        place = torch.arange(len(frames), device=frames.device) - (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        group = place // self.stride + (groups.cumsum(0) - groups).repeat_interleave(lengths)
        if self.side_by_side:
            slot = group * self.stride + place % self.stride
            return (
                frames.new_zeros(total * self.stride, frames.shape[1])
                .index_copy(0, slot, frames)
                .view(total, self.stride * frames.shape[1])
            )
        count = torch.bincount(group, minlength=total).to(frames.dtype)
        return frames.new_zeros(total, frames.shape[1]).index_add(0, group, frames) / count[:, None]


def build_injection(config: InjectionConfig, width: int, hidden: int) -> TiledInjection | ProjectedInjection:
    """The module that the config asks for, for residuals of that width and a language model of that one."""
    if config.kind == "tile":
        return TiledInjection(width, hidden)
    if config.kind == "linear":
        return ProjectedInjection(width, hidden)
    return ProjectedInjection(width, hidden, config.stride, config.pooling)
