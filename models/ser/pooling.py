"""Frames to one vector, over the valid frames only. Axes: B batch, T frames, D width, H heads."""

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
    """Weighted means of the frames, one a head, and optionally their standard deviation.

    A head is one linear layer from a frame to its score, and a softmax over the valid frames: no tanh layer, no temperature.
    `deviation` is "none", "plain" (all valid frames count alike) or "weighted" (by the mean of the heads' weights).
    """

    def __init__(self, width: int, heads: int = 1, deviation: str = "none") -> None:
        super().__init__()
        self.deviation = deviation
        self.score = nn.Linear(width, heads)
        self.output_width = width * (heads + (deviation != "none"))

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vector [B, output_width] and the attention [B, T], the mean over heads: it sums to 1 and is 0 on padding."""
        frames = frames.masked_fill(~mask[..., None], 0)  # 0 * NaN would be NaN
        scores = self.score(frames).float().masked_fill(~mask[..., None], -torch.inf)  # [B, T, H]
        weights = scores.softmax(dim=1).to(frames.dtype)
        attention = weights.mean(dim=2)  # [B, T]
        parts = [torch.einsum("bth,btd->bhd", weights, frames).flatten(1)]
        if self.deviation != "none":
            share = attention if self.deviation == "weighted" else mask / mask.sum(1, keepdim=True)
            parts.append(_deviation(frames, share.to(frames.dtype)))
        return torch.cat(parts, dim=1), attention


def _deviation(frames: Tensor, share: Tensor) -> Tensor:
    mean = torch.einsum("bt,btd->bd", share, frames)
    variance = torch.einsum("bt,btd->bd", share, (frames - mean[:, None]) ** 2)
    return (variance + 1e-5).sqrt()  # the gradient of sqrt is infinite at 0, and a clip may have one frame
