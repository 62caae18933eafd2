"""The published network (Ghosh, Li & Guha, arXiv 2409.20188) as its code computes it, without a graph library.

The published graph is a ring: every frame has one neighbour, the frame after it, and the last frame's is the first. So a graph layer with
an LSTM over the neighbours sees sequences of one, and is a gated layer that looks one frame ahead. Four of them and a smoother make
output t depend on frames t-2..t+6, round the ends of the turn. Axes: B batch, T frames, D width of a row, a inputs, b outputs.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rapport.models.listener.config import FaithfulConfig

FIELD = (-2, 6)
"""First and last frame that an output depends on, counted from its own, round the ends of the turn."""

_TAPS = 5


def edges(frames: int) -> list[tuple[int, int]]:
    """(source, target) of every message in the graph of a turn of T frames."""
    return [((target + 1) % frames, target) for target in range(frames)]


class GatedNeighbour(nn.Module):
    """A SAGE layer with LSTM aggregation, a -> b, where every node has one neighbour.

    The LSTM starts from nothing and sees one input, so that its recurrent matrix and its forget gate never matter; they are kept, as the
    published weights and their number hold them.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, inputs)
        self.lstm = nn.LSTM(inputs, inputs, batch_first=True)
        self.neighbour = nn.Linear(inputs, outputs)
        self.root = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, following: Tensor) -> Tensor:
        """[B, T, b] from x [B, T, a], given the frame [B, T] that follows each."""
        message = F.relu(self.project(x)).gather(1, following[..., None].expand_as(x))
        weight, _, bias, other_bias = self.lstm.all_weights[0]
        gates = F.linear(message, weight, bias + other_bias)
        into, _, cell, out = gates.chunk(4, dim=-1)
        seen = out.sigmoid() * (into.sigmoid() * cell.tanh()).tanh()
        return self.neighbour(seen) + self.root(x)


class TapSmoother(nn.Module):
    """A free filter of five taps over each angle, which begins as a Gaussian; zeros beyond the ends."""

    def __init__(self) -> None:
        super().__init__()
        kernel = torch.exp(-0.5 * (torch.arange(_TAPS) - _TAPS // 2) ** 2)
        self.taps = nn.Parameter((kernel / kernel.sum()).repeat(3, 1))
        self.sigma = nn.Parameter(torch.ones(1))  # published, and never read

    def forward(self, angles: Tensor) -> Tensor:
        """[B, T, 3] from [B, T, 3]."""
        return F.conv1d(angles.transpose(1, 2), self.taps[:, None], padding=_TAPS // 2, groups=3).transpose(1, 2)


class FaithfulNetwork(nn.Module):
    """Encoder, generator and smoother."""

    def __init__(self, width: int, config: FaithfulConfig | None = None) -> None:
        """`width` is D."""
        super().__init__()
        self.config = config or FaithfulConfig()
        self.encode_graph = nn.ModuleList([GatedNeighbour(width, 128), GatedNeighbour(128, 256)])
        self.encode_dense = _dense(256, 384, 128, 128)
        self.generate_dense = _dense(128, 128, 384, 128)
        self.generate_graph = nn.ModuleList([GatedNeighbour(128, 128), GatedNeighbour(128, 3)])
        self.smoother = TapSmoother()

    def forward(self, rows: Tensor, valid: Tensor) -> Tensor:
        """[B, T, 3] from rows [B, T, D], of which those that `valid` [B, T] tells are turns and the rest is padding.

        In training the smoother runs over the turns of a batch end to end, as published, so that two frames at either side of a border
        mix; in evaluation each turn is by itself.
        """
        following = _following(valid)
        x = rows
        for graph_layer in self.encode_graph:
            x = F.relu(graph_layer(x, following))
        x = self.encode_dense(x)
        if self.config.connect_dense:
            x = self.generate_dense(x)
        first, last = self.generate_graph
        angles = last(F.relu(first(x, following)), following) * valid[..., None]
        if not self.training:
            return self.smoother(angles)
        smooth = torch.zeros_like(angles)
        smooth[valid] = self.smoother(angles[valid][None])[0]
        return smooth

    @property
    def inert_parameters(self) -> int:
        """Numbers that no output depends on: recurrent matrices, forget gates, unused dense layers and the smoother's sigma."""
        graph = [layer.lstm for layer in (*self.encode_graph, *self.generate_graph) if isinstance(layer, GatedNeighbour)]
        recurrent = sum(4 * lstm.hidden_size**2 for lstm in graph)
        forget = sum(lstm.hidden_size * lstm.input_size + 2 * lstm.hidden_size for lstm in graph)
        unused = 0 if self.config.connect_dense else sum(p.numel() for p in self.generate_dense.parameters())
        return recurrent + forget + unused + self.smoother.sigma.numel()


def _dense(*widths: int) -> nn.Sequential:
    return nn.Sequential(*(layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())))


def _following(valid: Tensor) -> Tensor:
    """[B, T] the frame after each, and the first after the last of a turn."""
    time = torch.arange(valid.shape[1], device=valid.device)
    return (time + 1) % valid.sum(1, keepdim=True).clamp(min=1)
