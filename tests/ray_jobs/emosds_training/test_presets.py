import pytest

from rapport.core.config import find_preset, preset_names, read_config
from rapport.core.examples import STAGES
from rapport.ray_jobs.emosds_training.config import TrainEmosdsConfig, resolved, stage_run


def preset(name: str) -> TrainEmosdsConfig:
    return read_config(TrainEmosdsConfig, find_preset(name, "train_emosds"))


@pytest.mark.parametrize("name", preset_names("train_emosds"))
def test_every_stage_of_a_preset_can_be_run(name):
    config = resolved(preset(name))
    assert [stage_run(config, stage, config.model).stage for stage in config.stages] == list(STAGES)


def test_the_published_system_is_trained_as_published():
    config = preset("llama-3.2-3b")
    stages = [config.stage_1, config.stage_2, config.stage_3]
    assert [(s.training.batch_rows or 0) * s.training.batches_per_step for s in stages] == [128, 128, 64]
    assert [s.training.epochs for s in stages] == [10, 3, 5]
    assert [s.training.warmup_ratio for s in stages] == [0.10, 0.10, 0.05]
    assert [s.trainable.layers for s in stages] == [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5), "all"]
    for training in (s.training for s in stages):
        assert (training.optim.lr, training.optim.weight_decay, training.optim.clip_norm, training.schedule) == (2e-4, 0, 1, "cosine")
        assert training.pool_batches == 1
    assert config.model.injection.kind == "tile"
    assert config.model.clusters == 1000


def test_a_batch_that_one_example_may_not_fit_into_is_refused():
    config = TrainEmosdsConfig.model_validate({"stage_2": {"training": {"batch_tokens": 2048}}})
    with pytest.raises(ValueError, match="batch_tokens of stage 2 is 2048, and one example may have 3072"):
        stage_run(config, 2, config.model)
