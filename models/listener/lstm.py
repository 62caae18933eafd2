"""Recurrent networks: the published baseline, and a fair one. Axes: B batch, T frames, n frames of one stream, D width, C channels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rapport.models.listener.config import LstmConfig
from rapport.models.listener.faithful import TapSmoother
from rapport.models.listener.memory import Memory, empty_memory


class PublishedLstm(nn.Module):
    """The published baseline: its last layer is an LSTM of width 3, so that degrees are reached only through the gain of the smoother.

    For finished recordings: the smoother looks two frames ahead. Batch normalisation sees the padding in training, as published.
    """

    def __init__(self, width: int) -> None:
        """`width` is D."""
        super().__init__()
        self.listen = nn.LSTM(width, 256, num_layers=2, dropout=0.2, batch_first=True)
        self.dense = nn.ModuleList(_DenseNorm(*ends) for ends in ((256, 384), (384, 128), (128, 128), (128, 128)))
        self.move = nn.LSTM(128, 3, num_layers=2, dropout=0.2, batch_first=True)
        self.smoother = TapSmoother()

    def forward(self, rows: Tensor, valid: Tensor) -> Tensor:
        """[B, T, 3] from rows [B, T, D], of which those that `valid` [B, T] tells are turns and the rest is padding."""
        x = self.listen(rows)[0]
        for layer in self.dense:
            x = layer(x)
        return self.smoother(self.move(x)[0] * valid[..., None])


class _DenseNorm(nn.Module):
    """Linear, ReLU and batch normalisation, in that order."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, outputs] from [B, T, inputs]."""
        return self.norm(F.relu(self.linear(x)).transpose(1, 2)).transpose(1, 2)


class CausalLstm(nn.Module):
    """The fair baseline: an LSTM whose output a linear head reads. A `StreamingNetwork`."""

    def __init__(self, width: int, config: LstmConfig) -> None:
        """`width` is D."""
        super().__init__()
        self.config = config
        dropout = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(width, config.width, num_layers=config.layers, dropout=dropout, batch_first=True)

    @property
    def output_width(self) -> int:
        """C"""
        return self.config.width

    def forward(self, rows: Tensor) -> Tensor:
        """[B, T, C] from rows [B, T, D]."""
        return self.lstm(rows)[0]

    def memory(self) -> Memory:
        """Hidden states of all layers, then their cells, all zero."""
        return empty_memory(2 * self.config.layers, self.config.width, next(self.parameters()))

    def step(self, rows: Tensor, memories: Sequence[Memory]) -> Tensor:
        """[B, C] for one more row [B, D] of each stream."""
        return self._follow(rows[:, None], memories)[:, 0]

    def extend(self, rows: Tensor, memory: Memory) -> Tensor:
        """[n, C] for n more rows [n, D] of one stream."""
        return self._follow(rows[None], [memory])[0]

    def _follow(self, rows: Tensor, memories: Sequence[Memory]) -> Tensor:
        states = torch.from_numpy(np.stack([memory.values for memory in memories], axis=1))  # [2 layers, B, C]
        hidden, cells = states.chunk(2)
        output, after = self.lstm(rows, (hidden.contiguous(), cells.contiguous()))
        for memory, values in zip(memories, torch.cat(after).transpose(0, 1).numpy(), strict=True):
            memory.values[:] = values
            memory.frames += rows.shape[1]
        return output
