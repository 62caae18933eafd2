import numpy as np
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rapport.ray_jobs.agent_training.replay import Turns


def piece(first, length, terminated):
    numbers = np.arange(first, first + length + 1, dtype=np.float32)
    return SingleAgentEpisode(
        observations=list(numbers[:, None]),
        actions=list(-numbers[:-1, None]),
        rewards=list(numbers[:-1]),
        terminated=terminated,
        len_lookback_buffer=0,
    ).to_numpy()


def test_turns_of_pieces_of_episodes_stay_together():
    turns = Turns(10, seed=0)
    assert turns.add([piece(0, 3, False), piece(10, 2, True)]) == 5
    drawn = turns.sample(500)
    np.testing.assert_array_equal(drawn["new_obs"], drawn["obs"] + 1)
    np.testing.assert_array_equal(drawn["actions"], -drawn["obs"])
    np.testing.assert_array_equal(drawn["rewards"], drawn["obs"][:, 0])
    np.testing.assert_array_equal(drawn["terminateds"], drawn["rewards"] == 11)
    assert set(drawn["rewards"].tolist()) == {0, 1, 2, 10, 11}


def test_the_oldest_make_room():
    turns = Turns(4, seed=0)
    turns.add([piece(0, 6, True)])
    assert len(turns) == 4
    assert set(turns.sample(200)["rewards"].tolist()) == {2, 3, 4, 5}


def test_a_state_restores_what_is_remembered_and_what_goes_next():
    turns, other = Turns(4, seed=0), Turns(4, seed=0)
    turns.add([piece(0, 5, True)])
    other.restore(turns.state())
    for each in (turns, other):
        each.add([piece(20, 2, True)])
        each.random = np.random.default_rng(1)
    assert all((turns.sample(50)[name] == other.sample(50)[name]).all() for name in turns.arrays)
    assert set(other.sample(200)["rewards"].tolist()) == {3, 4, 20, 21}
