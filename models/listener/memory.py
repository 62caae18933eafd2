"""What a network keeps of a stream, and how one is followed. Axes: B streams, n frames, D width of a row of features, C channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(slots=True, eq=False)
class Memory:
    """All that a network remembers of one stream: an array whose size never changes, and the frames so far."""

    values: npt.NDArray[np.floating]
    """[R, C] as the network lays it out, in its precision."""
    frames: int = 0


def empty_memory(rows: int, width: int, like: Tensor) -> Memory:
    """A memory of zeros in the precision of a weight."""
    return Memory(torch.zeros(rows, width, dtype=like.dtype).numpy())


class StreamingNetwork(Protocol):
    """A network that can be fed frame by frame, on the CPU and without gradients."""

    @property
    def output_width(self) -> int:
        """C, the width of its output."""
        ...

    def memory(self) -> Memory:
        """The memory of a stream that has not begun."""
        ...

    def step(self, rows: Tensor, memories: Sequence[Memory]) -> Tensor:
        """[B, C] the output for one more row [B, D] of each stream, whose memories move on."""
        ...

    def extend(self, rows: Tensor, memory: Memory) -> Tensor:
        """[n, C] the output for n more rows [n, D] of one stream, whose memory moves on."""
        ...
