"""Syllables: the cheapest cut of all, and neighbours that are alike joined."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from rapport.models.spolacq.syllables import minimum_cut, syllables


def normalised_cuts(similarity: np.ndarray, edges: list[int]) -> float:
    total = 0.0
    for first, last in pairwise(edges):
        within = similarity[first:last, first:last].sum()
        crossing = similarity[first:last].sum() - within
        total += crossing / (crossing + within / 2)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_cut_is_the_cheapest_of_all(seed: int) -> None:
    values = np.random.default_rng(seed).random((9, 4))
    similarity = values @ values.T
    ways = [[0, *inner, 9] for inner in combinations(range(1, 9), 2)]
    ways = [way for way in ways if max(b - a for a, b in pairwise(way)) <= 5]
    found = minimum_cut(similarity, 3, 5)
    assert normalised_cuts(similarity, found) == pytest.approx(min(normalised_cuts(similarity, way) for way in ways))
    assert max(b - a for a, b in pairwise(found)) <= 5


def test_stretches_that_differ_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    directions = 3 * rng.normal(size=(3, 32))
    frames = np.repeat(directions, (9, 12, 7), axis=0) + 0.1 * rng.normal(size=(28, 32))
    assert syllables(frames) == [(0, 9), (9, 21), (21, 28)]


def test_neighbours_that_are_alike_are_joined_down_to_two() -> None:
    frames = np.random.default_rng(0).normal(size=(60, 8)) * 0.01 + 1
    assert len(syllables(frames)) == 2
    assert len(syllables(frames, join_above=2.0)) == 6


def test_all_frames_are_covered_however_few() -> None:
    assert syllables(np.zeros((0, 4))) == []
    for count in (1, 2, 5, 11, 130):
        pairs = syllables(np.random.default_rng(count).normal(size=(count, 16)))
        assert [pairs[0][0], pairs[-1][1]] == [0, count]
        assert all(a[1] == b[0] for a, b in pairwise(pairs))
