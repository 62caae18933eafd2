"""Sizes of corpora and fair choices."""

from collections import Counter

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.synthetic.plan import Request, pick

GROUPS = [[f"{letter}{i}" for i in range(size)] for letter, size in (("a", 2), ("b", 5), ("c", 5))]


@pytest.mark.parametrize("count", range(1, 13))
def test_a_choice_is_even_over_groups_until_one_runs_out(count: int) -> None:
    chosen = pick(GROUPS, count, seed=1, name="x")
    sizes = Counter(thing[0] for thing in chosen)
    assert len(set(chosen)) == count
    assert abs(sizes["b"] - sizes["c"]) <= 1
    assert sizes["a"] == 2 or max(sizes.values()) - sizes["a"] <= 1


def test_a_choice_depends_on_seed_and_name() -> None:
    assert pick(GROUPS, 5, 1, "x") == pick(GROUPS, 5, 1, "x")
    assert len({tuple(pick(GROUPS, 5, seed, name)) for seed, name in ((1, "x"), (2, "x"), (1, "y"))}) == 3


def test_sizes_default_to_the_published_corpus() -> None:
    assert Request().count_speakers(24, 99) == 24
    assert Request(speakers=3, utterances=7).count_utterances(60, 60) == 7
    with pytest.raises(RapportError, match="--utterances 61: this layout takes 1 to 60"):
        Request(utterances=61).count_utterances(60, 60)
