import subprocess
import sys

import pytest

from rapport.core.config import ConfigError, find_preset, preset_names, read_config, with_values
from rapport.ray_jobs.coe_training.config import TrainCoeConfig


def preset(name: str) -> TrainCoeConfig:
    return read_config(TrainCoeConfig, find_preset(name, "train_coe"))


@pytest.mark.parametrize("name", preset_names("train_coe"))
@pytest.mark.parametrize("strategy", ["full_curriculum", "steer_only", "auxiliary_only", "mixed", "custom"])
def test_every_preset_knows_how_to_train_every_strategy(name, strategy):
    config = with_values(preset(name), {"strategy": strategy})
    assert config.graph[-1].name == "erc"
    assert (config.graph[0].name == "base") == (name == "embedded")


@pytest.mark.parametrize("name", ["mistral-7b", "llama-3.1-8b"])
def test_the_published_models_are_trained_as_published(name):
    config = preset(name)
    stages = {stage: getattr(config, stage) for stage in ("role_play", "speaker", "steer", "joint", "erc")}
    assert [s.training.epochs for s in stages.values()] == [2, 2, 1, 5, 20]
    assert config.steer.rounds == 8
    for training in (stage.training for stage in stages.values()):
        assert (training.batch_rows or 0) * training.batches_per_step == 12
        # As many tokens as make any three examples one forward pass, so that a step is twelve whatever their lengths.
        assert training.batch_tokens == 3 * config.model.tokens.max_tokens
        assert (training.optim.lr, training.optim.betas, training.optim.weight_decay) == (2e-4, (0.9, 0.95), 0)
        assert (training.schedule, training.warmup_ratio, training.gradient_checkpointing) == ("linear", 0.1, True)
    lora = config.trainable.lora
    assert (lora.rank, lora.alpha, lora.dropout) == (16, 16, 0.05)
    assert config.model.tokens.max_tokens == 1400


def test_switches_without_the_strategy_they_belong_to_are_refused():
    with pytest.raises(ValueError, match="custom switches steer on, and strategy is full_curriculum: set strategy to custom"):
        TrainCoeConfig.model_validate({"custom": {"steer": True}})


def test_a_batch_that_one_example_may_not_fit_into_is_refused_for_stages_that_are_trained():
    with pytest.raises(ConfigError, match=r"speaker\.training\.batch_tokens is 700, and one example may have 1400"):
        with_values(TrainCoeConfig(), {"speaker.training.batch_tokens": 700})
    assert with_values(TrainCoeConfig(), {"strategy": "steer_only", "speaker.training.batch_tokens": 700})


def test_a_model_to_start_from_takes_the_place_of_the_base_stage():
    config = with_values(preset("embedded"), {"strategy": "custom", "start_from": "first"})
    assert [(stage.name, stage.after) for stage in config.graph] == [("erc", None)]


def test_help_needs_neither_torch_nor_ray():
    code = "import sys; import rapport.ray_jobs.train_coe; print(sorted({'torch', 'ray', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
