from typing import Any

import pytest

from rapport.core.config import find_preset, preset_names, read_config
from rapport.models.listener.faithful import FaithfulNetwork
from rapport.models.listener.model import HeadMotionModel
from rapport.ray_jobs.build_listener import BuildListenerConfig
from rapport.ray_jobs.listener_training.config import TrainListenerConfig, fold_configs
from rapport.ray_jobs.listener_training.run_folder import fold_folder, model_folder


def preset(name: str) -> TrainListenerConfig:
    return read_config(TrainListenerConfig, find_preset(name, "train_listener"))


def test_a_training_is_called_by_what_it_holds_out_and_by_its_seed(tmp_path):
    config = TrainListenerConfig(storage=str(tmp_path), name="x", seeds=(0, 2))
    folds = fold_configs(config, ("session1", "session2"))
    assert [fold.label for fold in folds] == [f"fold-session{n}-seed-{seed}" for n in (1, 2) for seed in (0, 2)]
    assert model_folder(folds[0]) == f"{tmp_path}/models/listener/x/fold-session1-seed-0"
    (served,) = fold_configs(TrainListenerConfig(storage=str(tmp_path), name="x", folds=("none",), seed=4), ("none",))
    assert model_folder(served) == f"{tmp_path}/models/listener/x"
    assert fold_folder(served) == f"{tmp_path}/runs/train_listener/x/all-seed-4"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"folds": "all,session1"}, "wanted all, none, or names"),
        ({"folds": ""}, "folds is empty"),
        ({"folds": "none", "seeds": (0, 1)}, "give one"),
        ({"seeds": (1, 1)}, "seeds names one twice"),
        ({"workers": {"count": 2}}, "one worker trains a model"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, Any], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        TrainListenerConfig.model_validate(changes)


@pytest.mark.parametrize("name", preset_names("train_listener"))
def test_every_preset_makes_a_model_and_only_the_causal_ones_stream(name):
    config = preset(name)
    HeadMotionModel(config.model)
    assert config.model.streams == (name in ("embedded", "lstm-linear"))


def test_the_published_network_is_the_published_one_and_its_features_can_be_built():
    config = preset("faithful")
    model = HeadMotionModel(config.model)
    assert isinstance(model.network, FaithfulNetwork)
    assert sum(p.numel() for p in model.parameters()) == 839_711
    assert read_config(BuildListenerConfig, find_preset("mfcc", "build_listener")).front_end == config.model.front_end
