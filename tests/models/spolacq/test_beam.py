"""The beam finds what a search of everything finds, and survives small vocabularies."""

from dataclasses import dataclass
from itertools import product

import pytest
import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.models.spolacq.beam import search

START, END = 0, 1


@dataclass(frozen=True)
class History:
    """All ids so far."""

    ids: Tensor

    def of(self, rows: Tensor) -> "History":
        return History(self.ids[rows])


class Table:
    """A network whose scores are a fixed random function of all ids so far and of the row they began in."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self.vocabulary, self.seed = vocabulary, seed

    def scores(self, history: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, *history)) % 2**31)
        return 2 * torch.randn(self.vocabulary, generator=generator, dtype=torch.float64)

    def step(self, ids: Tensor, place: int, kept: list[History]) -> Tensor:
        assert kept[0].ids.shape[1] == place + 1  # the row's number, then the ids before these
        kept[0] = History(torch.cat([kept[0].ids, ids[:, None]], 1))
        return torch.stack([self.scores(tuple(history)) for history in kept[0].ids.tolist()])


def find(network: Table, rows: list[int], *, width: int, max_steps: int, never: tuple[int, ...] = (START,)) -> list[list[int]]:
    kept = [History(torch.tensor(rows)[:, None])]
    return search(network, kept, len(rows), start=START, end=END, never=never, width=width, max_steps=max_steps)


def likeliest(network: Table, row: int, max_steps: int) -> list[int]:
    """Of all sequences that end within `max_steps`."""
    found: tuple[float, list[int]] = (-torch.inf, [])
    for length in range(max_steps):
        for units in product(range(2, network.vocabulary), repeat=length):
            history: tuple[int, ...] = (row, START)
            total = 0.0
            for unit in (*units, END):
                scores = network.scores(history)
                scores[START] = -torch.inf
                total += float(scores.log_softmax(-1)[unit])
                history = (*history, unit)
            found = max(found, (total, list(units)))
    return found[1]


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_wide_enough_finds_the_likeliest(seed: int) -> None:
    network = Table(4, seed)
    assert find(network, [0, 1, 2], width=64, max_steps=4) == [likeliest(network, row, 4) for row in range(3)]


def test_rows_do_not_depend_on_each_other() -> None:
    network = Table(6, 11)
    together = find(network, list(range(8)), width=3, max_steps=12)
    assert together == [find(network, [row], width=3, max_steps=12)[0] for row in range(8)]


def test_a_vocabulary_smaller_than_the_beam_is_enough() -> None:
    assert find(Table(3, 0), [0], width=50, max_steps=10)


def test_what_is_never_to_be_spoken_is_not() -> None:
    assert not any(3 in ids for ids in find(Table(6, 3), list(range(6)), width=4, max_steps=8, never=(START, 3)))


def test_what_does_not_end_in_time_is_given_as_it_is() -> None:
    class Endless(Table):
        def scores(self, history: tuple[int, ...]) -> Tensor:
            scores = super().scores(history)
            scores[END] = -1e9
            return scores

    assert len(find(Endless(5, 0), [0], width=3, max_steps=7)[0]) == 7


def test_scores_that_are_no_numbers_are_told() -> None:
    class Broken(Table):
        def scores(self, history: tuple[int, ...]) -> Tensor:
            return torch.full((self.vocabulary,), torch.nan)

    with pytest.raises(RapportError, match="not finite"):
        find(Broken(5, 0), [0], width=3, max_steps=7)
