"""Beam search for the likeliest sequence of units.

Hypotheses are compared by the sum of their log probabilities, without regard to length. A row's beam narrows by one with every hypothesis
that ends, as published. Sums only fall, so a row is done as soon as none of its open hypotheses is likelier than its best finished one.

Axes: B rows, K hypotheses of a row, V vocabulary, L ids so far.
"""

from typing import Protocol, TypeVar

import torch
from torch import Tensor

from rapport.core.errors import RapportError


class Rows(Protocol):
    """What a network keeps of the sequences so far."""

    def of(self: "RowsT", rows: Tensor) -> "RowsT":
        """Of these rows of the batch, which may repeat."""
        ...


RowsT = TypeVar("RowsT", bound=Rows)


class Speller(Protocol[RowsT]):
    """A network that tells what may follow."""

    def step(self, ids: Tensor, place: int, kept: list[RowsT]) -> Tensor:
        """Scores [N, V] of what follows ids [N] at a place from 0; `kept` is changed to hold them too."""
        ...


@torch.inference_mode()
def search(
    network: Speller[RowsT],
    kept: list[RowsT],
    rows: int,
    *,
    start: int,
    end: int,
    never: tuple[int, ...],
    width: int,
    max_steps: int,
    device: str | torch.device = "cpu",
) -> list[list[int]]:
    """The ids, without start and end, of the likeliest finished sequence of each row; `device` is the network's.

    `never` are ids that are not to be spoken. A row of which no hypothesis ends within `max_steps` gives its likeliest open one.
    Raises RapportError when the network's scores are not finite.
    """
    beams = _Beams(rows, start, end, width, torch.device(device))
    # All hypotheses of a row begin alike, so there is one; a vocabulary smaller than the beam fills it in later steps.
    for place in range(max_steps):
        scores = network.step(beams.ids[:, -1], place, kept)
        if not bool(scores.isfinite().all()):
            raise RapportError("scores of units are not finite: features and sentence embeddings are to be finite and of usual size")
        scores[:, list(never)] = -torch.inf
        origins = beams.extend(scores.log_softmax(-1))
        if not len(beams.open):
            break
        kept[:] = [part.of(origins) for part in kept]
    return beams.best()


class _Beams:
    """The hypotheses of all rows that are not done."""

    def __init__(self, rows: int, start: int, end: int, width: int, device: torch.device) -> None:
        self.end, self.width, self.device = end, width, device
        self.open = torch.arange(rows, device=device)
        """[B] rows that are not done."""
        self.ids = torch.full((rows, 1), start, device=device)
        """[B x K, L] their hypotheses, start included."""
        self.sums: Tensor | None = None
        """[B, K] log probabilities; -inf where a row has fewer hypotheses."""
        self.left = torch.full((rows,), width, device=device)
        """[B] hypotheses that a row may follow."""
        self.best_sums = torch.full((rows,), -torch.inf, dtype=torch.float64, device=device)
        self.found: list[list[int]] = [[] for _ in range(rows)]

    def extend(self, log_probabilities: Tensor) -> Tensor:
        """Take one more id, given the log probabilities [B x K, V] of each; tells which hypothesis each new one comes from."""
        rows, size = len(self.open), log_probabilities.shape[-1]
        before = log_probabilities.new_zeros(rows, 1) if self.sums is None else self.sums
        candidates = (before.reshape(-1, 1) + log_probabilities).reshape(rows, -1)
        sums, places = candidates.topk(min(self.width, candidates.shape[1]), dim=1)
        # A row whose beam has narrowed follows its first few only.
        sums = sums.masked_fill(torch.arange(sums.shape[1], device=self.device) >= self.left[:, None], -torch.inf)
        origins, ids = places // size, places % size
        ended = (ids == self.end) & sums.isfinite()
        origins = origins + torch.arange(rows, device=self.device)[:, None] * before.shape[1]
        self._finish(sums, origins, ended)
        self.left = self.left - ended.sum(1)
        sums = sums.masked_fill(ended, -torch.inf)
        going = (sums.amax(1) > self.best_sums[self.open]) & (self.left > 0)
        origins, sums, ids = origins[going], sums[going], ids[going]
        self.ids = torch.cat([self.ids[origins.flatten()], ids.reshape(-1, 1)], 1)
        self.open, self.left, self.sums = self.open[going], self.left[going], sums
        return origins.flatten()

    def best(self) -> list[list[int]]:
        """Of each row; called once nothing more is extended."""
        if self.sums is not None and len(self.open):
            hypotheses = self.ids.reshape(len(self.open), -1, self.ids.shape[1])
            for row, choice, ids in zip(self.open.tolist(), self.sums.argmax(1).tolist(), hypotheses, strict=True):
                if self.best_sums[row] == -torch.inf:
                    self.found[row] = ids[choice, 1:].tolist()
        return self.found

    def _finish(self, sums: Tensor, origins: Tensor, ended: Tensor) -> None:
        """Keep the likeliest of the hypotheses that ended, where it is likelier than what was found before."""
        if not bool(ended.any()):
            return
        closed = sums.masked_fill(~ended, -torch.inf)
        best, choice = closed.max(1)
        for place in (best > self.best_sums[self.open]).nonzero().flatten().tolist():
            row = int(self.open[place])
            self.best_sums[row] = best[place]
            self.found[row] = self.ids[origins[place, choice[place]], 1:].tolist()
