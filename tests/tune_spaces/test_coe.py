import pytest

from rapport.core.config import find_preset, read_config, with_values
from rapport.tune_spaces.coe import CONFIG, SPACE, applies, budget


def base(preset="embedded", **values):
    return with_values(read_config(CONFIG, find_preset(preset, "train_coe")), values)


def searched(settings):
    return {field for field in SPACE if applies(field, settings)}


def test_only_stages_of_the_strategy_are_searched():
    fields = searched(base(strategy="steer_only"))
    assert {"steer.repeat_seeds", "erc.training.optim.lr", "trainable.lora.rank"} <= fields
    assert not any(field.startswith(("role_play.", "speaker.", "joint.", "mixture.")) for field in fields)
    assert {"joint.training.optim.lr", "mixture.temperature"} <= searched(base(strategy="mixed"))
    assert budget(base(**{"erc.training.epochs": 17})) == 17


def test_adapters_that_are_given_or_absent_are_not_searched():
    assert "trainable.lora.rank" not in searched(base(start_from="first"))
    assert "trainable.lora.rank" not in searched(base(**{"trainable.lora.rank": 0}))


@pytest.mark.parametrize("preset", ["embedded", "mistral-7b"])
@pytest.mark.parametrize("seed", range(3))
def test_any_draw_can_be_trained(preset, seed):
    settings = base(preset, strategy="mixed")
    drawn = {field: SPACE[field].sample(random_state=seed) for field in searched(settings)}
    assert with_values(settings, drawn).graph == settings.graph
