import pytest

from rapport.core.config import find_preset, read_config, with_values
from rapport.ray_jobs.train_agent import for_search
from rapport.tune_spaces.agent import CONFIG, METRIC, SPACE, applies, budget


def base(**values):
    return with_values(read_config(CONFIG, find_preset("cafe", "train_agent")), values)


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "tqc", "bandit"])
def test_an_algorithm_is_searched_with_its_own_settings(algorithm):
    settings = base(**{"learning.algorithm": algorithm})
    searched = {field for field in SPACE if applies(field, settings)}
    assert {field.split(".")[1] for field in searched if field.startswith("learning.")} == {algorithm}
    assert ("policy.log_deviation" in searched) == (algorithm != "bandit")
    assert "policy.head_width" in searched


def test_a_trial_has_as_many_iterations_as_it_acts_in():
    assert budget(base(**{"learning.turns": 5120, "learning.ppo.batch_size": 512})) == 10
    assert budget(base(**{"learning.algorithm": "sac", "learning.turns": 5120, "learning.turns_per_iteration": 256})) == 20


def test_trials_act_in_their_own_process():
    assert for_search(base()).learning.runners == 0
    assert METRIC == "mean_return"
