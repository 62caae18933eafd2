"""Batches of like length under a budget."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rapport.models.backends.llm.batches import packed

lengths_ = st.lists(st.integers(1, 60), max_size=40)


@given(lengths=lengths_, extra=st.integers(0, 20), tokens=st.integers(1, 300), rows=st.integers(1, 8))
def test_every_prompt_is_in_one_batch_within_the_budget(lengths: list[int], extra: int, tokens: int, rows: int) -> None:
    batches = packed(lengths, extra=[extra] * len(lengths), batch_tokens=tokens, batch_rows=rows)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * (max(lengths[i] for i in batch) + extra) <= tokens


def test_the_longest_come_first_and_neighbours_are_alike() -> None:
    lengths = np.random.default_rng(0).integers(1, 500, 200).tolist()
    batches = packed(lengths, extra=[0] * 200, batch_tokens=4000, batch_rows=64)
    flat = [lengths[i] for batch in batches for i in batch]
    assert flat == sorted(flat, reverse=True)
    padded = sum(len(batch) * lengths[batch[0]] for batch in batches)
    assert padded < 1.15 * sum(lengths)
