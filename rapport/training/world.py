"""The workers of one training, seen from one of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This worker's place among all; a single one by default, for which every method costs nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "World":
        """The process group that was initialised, or a world of one."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def gather(self, value: Any) -> list[Any]:
        """The values of all workers, in order of rank, on every worker. Each worker must call it."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    @torch.no_grad()
    def share_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors with those of the first worker. Each worker must call it."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)
