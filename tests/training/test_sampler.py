import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.training.sampler import BatchSampler, derive_seed, evaluation_batches

DURATIONS = np.random.default_rng(0).uniform(1, 5, 103)


def sampler(**changes) -> BatchSampler:
    return BatchSampler(DURATIONS, **{"batch_size": 8, "seed": 3, **changes})


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def test_an_epoch_is_a_function_of_seed_and_epoch_alone():
    assert as_lists(sampler().epoch(5)) == as_lists(sampler().epoch(5))
    assert as_lists(sampler().epoch(5)) != as_lists(sampler().epoch(6))
    assert as_lists(sampler().epoch(5)) != as_lists(sampler(seed=4).epoch(5))


def test_an_epoch_has_whole_batches_without_repeats():
    batches = sampler().epoch(0)
    assert len(batches) == len(sampler()) == 12
    assert {len(batch) for batch in batches} == {8}
    assert len(np.unique(np.concatenate(batches))) == 96


def test_every_clip_has_its_turn_over_a_few_epochs():
    seen = set(np.concatenate([batch for epoch in range(8) for batch in sampler().epoch(epoch)]))
    assert seen == set(range(103))


def test_workers_share_the_batches_of_one():
    alone = sampler().epoch(2)
    shared = [sampler(rank=rank, world_size=4).epoch(2) for rank in range(4)]
    for place, batch in enumerate(alone):
        parts = [worker[place] for worker in shared]
        assert {len(part) for part in parts} == {2}
        assert sorted(np.concatenate(parts)) == sorted(batch)


def test_sorting_within_buckets_saves_padding():
    def padding(batches) -> float:
        return sum(DURATIONS[batch].max() * len(batch) - DURATIONS[batch].sum() for batch in batches)

    assert padding(sampler(bucket_batches=6).epoch(0)) < 0.3 * padding(sampler(bucket_batches=1).epoch(0))


def test_balanced_draws_every_class_equally_often_and_repeats_evenly():
    targets = np.array([0] * 60 + [1] * 33 + [2] * 10)
    order = np.concatenate(sampler(batch_size=1, targets=targets).epoch(0))
    counts = np.bincount(targets[order])
    assert counts.max() - counts.min() <= 3
    repeats = np.bincount(order[targets[order] == 2], minlength=103)[93:]
    assert repeats.max() - repeats.min() <= 1


def test_a_set_smaller_than_a_batch_is_one_batch_of_equal_shares():
    parts = [BatchSampler([1, 2, 3], batch_size=8, seed=0, rank=rank, world_size=2).epoch(0) for rank in range(2)]
    assert [len(part) for part in parts] == [1, 1]
    assert [len(part[0]) for part in parts] == [2, 2]
    assert set(np.concatenate([parts[0][0], parts[1][0]])) == {0, 1, 2}


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(RapportError, match="make it a multiple"):
        sampler(world_size=3)


def test_no_clips_are_refused():
    with pytest.raises(RapportError, match="training split is empty"):
        BatchSampler([], batch_size=8, seed=0)


@pytest.mark.parametrize("world_size", [1, 3])
def test_each_clip_is_evaluated_once_and_no_batch_is_too_long(world_size):
    batches = [batch for rank in range(world_size) for batch in evaluation_batches(DURATIONS, 20.0, rank=rank, world_size=world_size)]
    assert sorted(np.concatenate(batches)) == list(range(103))
    assert all(len(batch) * DURATIONS[batch].max() <= 20 for batch in batches)


def test_a_clip_longer_than_the_limit_is_a_batch_of_its_own():
    assert as_lists(evaluation_batches([1.0, 70.0, 2.0], 10.0)) == [[0, 2], [1]]


def test_seeds_differ_with_any_part():
    seeds = {derive_seed(0, "order", 1), derive_seed(1, "order", 0), derive_seed(0, "augment", 1), derive_seed(0, "order", 11)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
