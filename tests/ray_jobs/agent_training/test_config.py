import pytest

from rapport.core.config import ConfigError, find_preset, read_config, with_values
from rapport.ray_jobs.agent_training.config import TrainAgentConfig, resolved


def preset(name, **values):
    return with_values(read_config(TrainAgentConfig, find_preset(name, "train_agent")), values)


def test_what_follows_a_first_turn_is_credited_where_there_is_more_than_one():
    assert preset("cafe").learning.ppo.gamma == 0
    assert preset("cafe_corner").learning.ppo.gamma == 1


def test_the_published_preset_is_the_published_agent():
    config = preset("published")
    assert config.learning.algorithm == "bandit"
    assert (config.body.eyes.kind, config.body.hearing.kind, config.body.voice.kind) == ("dino", "s5hubert", "tacotron")
    assert (config.body.image_to_units.width, config.body.image_to_units.layers, config.body.beam.width) == (768, 6, 50)
    assert not config.policy.symmetric
    assert not config.policy.normalise
    assert (config.simulator.height, config.simulator.width, config.simulator.images_per_item) == (512, 512, 10)
    assert config.data.pictures.train_per_folder == 30
    assert config.data.speech.utterances == 5


def test_paths_mean_the_same_everywhere(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    config = resolved(TrainAgentConfig(storage="here", task="./mine"))
    assert config.storage == str(tmp_path / "here")
    assert config.task == str(tmp_path / "mine")
    assert resolved(TrainAgentConfig(task="cafe")).task == "cafe"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers.count": 2}, "one worker trains a body"),
        ({"learning.algorithm": "tqc", "learning.tqc.dropped": 15}, "fewer than quantiles"),
        ({"learning.ppo.gama": 1.0}, "did you mean learning.ppo.gamma"),
    ],
)
def test_settings_that_do_not_fit_are_told(values, message):
    with pytest.raises(ConfigError, match=message):
        with_values(TrainAgentConfig(), values)
