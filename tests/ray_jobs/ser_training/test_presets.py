import pytest

from rapport.core.config import find_preset, preset_names, read_config
from rapport.datasets.stages.augment_config import PRESETS
from rapport.ray_jobs.ser_training.config import TrainSerConfig, resolved


@pytest.mark.parametrize("name", preset_names("train_ser"))
def test_a_preset_can_be_resolved(name):
    config = resolved(read_config(TrainSerConfig, find_preset(name, "train_ser")))
    assert resolved(config) == config


@pytest.mark.parametrize("name", ["G2", "G3"])
def test_the_original_program_augments_as_published(name):
    config = read_config(TrainSerConfig, find_preset(f"faithful-{name.lower()}", "train_ser"))
    published = PRESETS[name]
    assert config.augment.active == published.active
    assert [config.augment.step(step) for step in published.active] == [published.step(step) for step in published.active]


def test_the_original_program_is_evaluated_on_whole_clips_but_answers_along_its_window():
    assert resolved(read_config(TrainSerConfig, find_preset("faithful-g3", "train_ser"))).model.decoding.window_s == 2
