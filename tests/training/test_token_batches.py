import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.training.token_batches import TokenBatches, evaluation_batches, padded_tokens

LENGTHS = np.random.default_rng(0).integers(5, 200, 997)


def flat(epoch):
    return [batch for step in epoch for batch in step if len(batch)]


def sampler(**changes) -> TokenBatches:
    return TokenBatches(LENGTHS, **{"batch_tokens": 1000, "batches_per_step": 4, "seed": 3, **changes})


def test_every_example_comes_once_an_epoch_and_no_batch_is_over_budget():
    batches = flat(sampler(multiple=8).epoch(0))
    assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
    assert max(padded_tokens(LENGTHS, batch, multiple=8) for batch in batches) <= 1000


def test_epochs_and_seeds_differ_and_each_comes_again_the_same():
    def told(batches):
        return [batch.tolist() for batch in flat(batches)]

    assert told(sampler().epoch(1)) == told(sampler().epoch(1))
    assert told(sampler().epoch(1)) != told(sampler().epoch(2))
    assert told(sampler().epoch(1)) != told(sampler(seed=4).epoch(1))


@pytest.mark.parametrize("world", [2, 3, 8])
def test_workers_share_the_steps_of_one_and_have_equally_many_batches_in_each(world):
    alone = sampler().epoch(0)
    shared = [sampler(rank=rank, world_size=world).epoch(0) for rank in range(world)]
    assert {len(worker) for worker in shared} == {len(alone)} == {sampler().steps(0)}
    for place, step in enumerate(alone):
        parts = [worker[place] for worker in shared]
        assert len({len(part) for part in parts}) == 1
        assert sorted(np.concatenate([b for part in parts for b in part])) == sorted(np.concatenate(step))


def test_sorting_by_length_saves_more_than_half_of_a_fixed_batch():
    lengths = np.random.default_rng(1).lognormal(4, 0.8, 4000).astype(int) + 1
    budget = 4 * lengths.max()
    batches = flat(TokenBatches(lengths, batch_tokens=budget).epoch(0))
    spent = sum(padded_tokens(lengths, batch) for batch in batches)
    assert spent < 1.1 * lengths.sum()
    assert spent < 0.5 * lengths.max() * len(lengths)


def test_rows_can_be_limited_and_left_unsorted_as_fixed_batches_are():
    batches = flat(sampler(batch_rows=2, pool_batches=1, batches_per_step=64).epoch(0))
    assert {len(batch) for batch in batches[:-1]} == {2}
    assert sampler(batch_rows=2, pool_batches=1, batches_per_step=64).steps(0) == -(-499 // 64)


def test_the_number_of_steps_is_known_beforehand():
    assert sampler().total_steps(3) == sum(len(sampler().epoch(epoch)) for epoch in range(3))


def test_all_workers_evaluate_each_example_once_in_equally_many_batches():
    shares = [evaluation_batches(LENGTHS, 1000, rank=rank, world_size=3) for rank in range(3)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(np.concatenate([batch for share in shares for batch in share])) == list(range(len(LENGTHS)))


def test_too_small_a_budget_and_an_empty_side_are_refused():
    with pytest.raises(RapportError, match="199 tokens, more than batch_tokens 100: raise it, or lower max_tokens"):
        sampler(batch_tokens=100)
    with pytest.raises(RapportError, match="training side is empty"):
        TokenBatches([], batch_tokens=10)
