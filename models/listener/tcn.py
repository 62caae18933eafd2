"""The causal default: dilated convolutions over the past, one in each residual block (after Bai et al. 2018).

    rows [B, T, D] -> linear -> x [B, T, C] -> x + conv(relu(norm(x))), a block for each dilation -> relu(norm(x)) -> [B, T, C]

Output t depends on rows up to t alone. A stream keeps, of every block, the inputs of its convolution that later taps will reach, in a
ring: the slot that the oldest tap reads is the one that the new frame fills. Axes: B batch, T frames, n frames of one stream, D width of
a row, C channels, L blocks, K taps, R slots of all rings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rapport.models.listener.config import TcnConfig
from rapport.models.listener.memory import Memory, empty_memory


class CausalTcn(nn.Module):
    """A `StreamingNetwork`."""

    def __init__(self, width: int, config: TcnConfig) -> None:
        """`width` is D."""
        super().__init__()
        blocks, channels = len(config.dilations), config.width
        self.config = config
        self.project = nn.Linear(width, channels)
        # The taps of a block lie under each other, oldest first, so that a convolution is one product with the frames side by side.
        self.weight = nn.Parameter(torch.empty(blocks, config.kernel * channels, channels))
        # Block after block in one vector: vectors are what the optimiser does not decay.
        self.bias = nn.Parameter(torch.zeros(blocks * channels))
        self.norm_gain = nn.Parameter(torch.ones((blocks + 1) * channels))
        self.norm_shift = nn.Parameter(torch.zeros((blocks + 1) * channels))
        self.dropout = nn.Dropout(config.dropout)
        # As wide as relu wants it (He et al. 2015), and less so that the sum over all blocks keeps its size.
        nn.init.normal_(self.weight, std=(2 / (config.kernel * channels)) ** 0.5 / blocks**0.5)
        spans = [(config.kernel - 1) * dilation for dilation in config.dilations]  # [L] slots of each ring
        self._spans = spans
        self._starts = np.cumsum([0, *spans])
        self._slots = _TapSlots(config, self._starts)
        self._views: _Views | None = None

    @property
    def output_width(self) -> int:
        """C"""
        return self.config.width

    @property
    def field_frames(self) -> int:
        """Frames that an output depends on, its own included."""
        return 1 + sum(self._spans)

    def forward(self, rows: Tensor) -> Tensor:
        """[B, T, C] from rows [B, T, D], before which there was nothing."""
        x = self.project(rows)
        for block, span in enumerate(self._spans):
            x = x + self.dropout(self._convolve(F.pad(self._activate(x, block), (0, 0, span, 0)), block))
        return self._activate(x, len(self._spans))

    def memory(self) -> Memory:
        """Rings full of nothing."""
        return empty_memory(int(self._starts[-1]), self.config.width, self.weight)

    def step(self, rows: Tensor, memories: Sequence[Memory]) -> Tensor:
        """[B, C] for one more row [B, D] of each stream."""
        batch, blocks = len(memories), len(self._spans)
        reads, writes = self._slots.at(np.array([[memory.frames] for memory in memories]))
        past = np.empty((batch, reads.shape[1], self.config.width), memories[0].values.dtype)
        for memory, slots, rows_read in zip(memories, reads, past, strict=True):
            memory.values.take(slots, axis=0, out=rows_read, mode="clip")
        # What the past contributes is known for all blocks beforehand; only the newest tap waits for the block before.
        inputs = torch.from_numpy(past).view(batch, blocks, -1).transpose(0, 1)  # [L, B, (K - 1) C]
        views = self._weight_views()
        sums = torch.baddbmm(views.bias, inputs, views.past).unbind(0)
        shape = (self.config.width,)
        x = self.project(rows)
        fresh = []
        for block, (total, weight) in enumerate(zip(sums, views.newest, strict=True)):
            active = torch.layer_norm(x, shape, *views.norms[block]).relu_()
            fresh.append(active)
            x = torch.addmm(total.add_(x), active, weight)
        for memory, slots, values in zip(memories, writes, torch.stack(fresh, dim=1).numpy(), strict=True):
            memory.values[slots] = values
            memory.frames += 1
        return torch.layer_norm(x, shape, *views.norms[blocks]).relu_()

    def extend(self, rows: Tensor, memory: Memory) -> Tensor:
        """[n, C] for n more rows [n, D] of one stream."""
        count = len(rows)
        x = self.project(rows)
        rings = torch.from_numpy(memory.values)
        for block, span in enumerate(self._spans):
            ring = rings[self._starts[block] : self._starts[block + 1]]
            oldest = torch.arange(span)
            known = torch.cat([ring[(memory.frames + oldest) % span], self._activate(x, block)])
            x = x + self._convolve(known, block)
            ring[(memory.frames + count + oldest) % span] = known[count:]
        memory.frames += count
        return self._activate(x, len(self._spans))

    def _weight_views(self) -> "_Views":
        # To cut a tensor takes as long as to multiply by the piece. The pieces share the memory of the weights, unless those were moved.
        if self._views is None or self._views.source != self.weight.data_ptr():
            held = (self.config.kernel - 1) * self.config.width
            weight = self.weight.detach()
            gains, shifts, biases = (self._by_block(part.detach()) for part in (self.norm_gain, self.norm_shift, self.bias))
            norms = zip(gains.unbind(0), shifts.unbind(0), strict=True)
            self._views = _Views(weight.data_ptr(), biases[:, None], weight[:, :held], weight[:, held:].unbind(0), tuple(norms))
        return self._views

    def _activate(self, x: Tensor, block: int) -> Tensor:
        gain, shift = self._by_block(self.norm_gain)[block], self._by_block(self.norm_shift)[block]
        return F.layer_norm(x, x.shape[-1:], gain, shift).relu()

    def _convolve(self, known: Tensor, block: int) -> Tensor:
        """[..., T, C] from the block's inputs [..., span + T, C], the past first."""
        dilation, frames = self.config.dilations[block], known.shape[-2] - self._spans[block]
        taps = [known[..., tap * dilation : tap * dilation + frames, :] for tap in range(self.config.kernel)]
        return torch.cat(taps, dim=-1) @ self.weight[block] + self._by_block(self.bias)[block]

    def _by_block(self, vector: Tensor) -> Tensor:
        """[..., C] of a vector that holds the channels of one block after the other."""
        return vector.view(-1, self.config.width)


class _Views(NamedTuple):
    """The weights in the pieces that a step takes."""

    source: int
    bias: Tensor
    """[L, 1, C]"""
    past: Tensor
    """[L, (K - 1) C, C]"""
    newest: tuple[Tensor, ...]
    """L times [C, C]."""
    norms: tuple[tuple[Tensor, Tensor], ...]
    """L + 1 times gain and shift, [C] each."""


class _TapSlots:
    """Where the rings hold what the taps of a frame reach."""

    def __init__(self, config: TcnConfig, starts: np.ndarray) -> None:
        held = config.kernel - 1
        dilations = np.array(config.dilations)
        self._starts, self._spans = starts[:-1], held * dilations
        # By block and tap, oldest first. The oldest is a whole turn of the ring ago: its slot is the one to be filled.
        self._tap_starts = np.repeat(self._starts, held)
        self._tap_spans = np.repeat(self._spans, held)
        self._tap_shifts = (dilations[:, None] * np.arange(held)).reshape(-1)

    def at(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The slots [B, L (K - 1)] that the frames [B, 1] read, and those [B, L] that they fill once they have read."""
        reads = self._tap_starts + (frames + self._tap_shifts) % self._tap_spans
        return reads, self._starts + frames % self._spans
