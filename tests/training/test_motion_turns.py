import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.training.motion_turns import StretchSampler, Turns
from tests.training.toy_motion import planted_turns, toy_config

LENGTHS = np.array([50, 90, 91, 200, 400])


def sampler(seed: int = 0, lengths: np.ndarray = LENGTHS, **changes: object) -> StretchSampler:
    return StretchSampler(lengths, toy_config(batch_size=2, **changes), 30, seed)


def test_a_long_turn_gives_as_many_stretches_as_fit_and_a_short_one_itself():
    found = [stretch for batch in sampler().epoch(0) for stretch in batch]
    assert sampler().turns.tolist() == [0, 1, 2, 3, 3, 4, 4, 4, 4]
    assert len(found) == 8, "what does not fill a batch waits"
    for turn, heard_from, start, stop in found:
        assert stop - start == min(90, LENGTHS[turn])
        assert 0 <= start < stop <= LENGTHS[turn]
        assert heard_from == max(0, start - 30)


def test_stretches_depend_on_seed_and_epoch_and_on_nothing_else():
    first = sampler().epoch(3)
    assert sampler().epoch(3) == first
    assert sampler().epoch(4) != first
    assert sampler(seed=1).epoch(3) != first


def test_every_frame_of_a_long_turn_is_drawn_in_time():
    seen = np.zeros(LENGTHS[4], bool)
    for epoch in range(40):
        for stretch in (s for batch in sampler().epoch(epoch) for s in batch):
            if stretch.turn == 4:
                seen[stretch.start : stretch.stop] = True
    assert seen.all()


def test_whole_turns_are_learned_from_where_no_length_is_set():
    found = sorted(stretch for batch in sampler(crop_s=0, lengths=LENGTHS[:4]).epoch(0) for stretch in batch)
    assert found == [(turn, 0, 0, LENGTHS[turn]) for turn in range(4)]


def test_a_batch_is_padded_and_scores_what_comes_after_the_warm_up():
    turns = planted_turns(6)
    stretches = [
        stretch for batch in StretchSampler(turns.lengths, toy_config(batch_size=3, crop_s=1), 30, 0).epoch(0) for stretch in batch
    ]
    batch = turns.batch(stretches)
    for row, (turn, heard_from, start, stop) in enumerate(stretches):
        features, targets = turns.turn(turn)
        length = stop - heard_from
        assert batch.lengths[row] == length
        assert batch.scored[row].nonzero()[:, 0].tolist() == list(range(start - heard_from, length))
        np.testing.assert_array_equal(batch.features[row, :length], features[heard_from:stop])
        np.testing.assert_array_equal(batch.targets[row, :length], targets[heard_from:stop])
        assert not batch.features[row, length:].any()


def test_targets_are_counted_from_the_middle_of_the_whole_turn_where_they_are_relative():
    turns = planted_turns(1)
    relative = turns.turn(0)[1]
    absolute = Turns(turns.ids, turns.lengths, turns.load, "absolute").turn(0)[1]
    np.testing.assert_allclose(relative.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(absolute - absolute.mean(0), relative, atol=1e-4)


def test_evaluation_takes_every_turn_once():
    turns = planted_turns(9)
    assert sorted(np.concatenate(turns.evaluation_batches(300)).tolist()) == list(range(9))


def test_no_turns_are_refused():
    with pytest.raises(RapportError, match="training split is empty"):
        sampler(lengths=np.zeros(0, np.int64))
