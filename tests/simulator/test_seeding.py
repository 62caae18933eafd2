"""Episodes have streams of their own, and code that uses the global generators leaves no trace."""

import random

import numpy as np
import pytest

from rapport.simulator.seeding import EpisodeSeed, SeedError, kept_random, seeded


def test_a_seed_is_read_back_from_its_text() -> None:
    seed = EpisodeSeed(7, 1, 3, 12)
    assert EpisodeSeed.parse(str(seed)) == seed


@pytest.mark.parametrize("text", ["", "7", "7-0-3", "7-0-3-x", "7-0--3-1", "-7-0-3-1"])
def test_text_that_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(SeedError, match="7-0-3-12"):
        EpisodeSeed.parse(text)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(SeedError, match="from 0 on"):
        EpisodeSeed(-1, 0, 0, 0)


def test_every_part_of_a_seed_changes_the_stream() -> None:
    seeds = [EpisodeSeed(1, 0, 0, 0), EpisodeSeed(0, 1, 0, 0), EpisodeSeed(0, 0, 1, 0), EpisodeSeed(0, 0, 0, 1), EpisodeSeed(0, 0, 0, 0)]
    assert len({seed.generator().integers(2**62) for seed in seeds}) == len(seeds)


def test_equal_seeds_give_equal_draws_and_restore_the_global_generators() -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    draws = []
    for _ in range(2):
        with seeded(5):
            draws.append((random.random(), np.random.rand()))
    assert draws[0] == draws[1]
    assert (random.random(), np.random.rand()) == expected


def test_the_global_generators_are_restored_after_an_error() -> None:
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    with pytest.raises(ZeroDivisionError), kept_random(), seeded(3):
        np.random.rand(1000 // 0)
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before)
