import pytest

from rapport.core.config import find_preset, read_config, with_values
from rapport.ray_jobs.emosds_training.config import stage_run
from rapport.tune_spaces.emosds import CONFIG, SPACE, applies, budget


def base(preset="embedded", **values):
    return with_values(read_config(CONFIG, find_preset(preset, "train_emosds")), values)


def searched(settings):
    return {field for field in SPACE if applies(field, settings)}


def test_a_model_is_searched_as_a_whole_where_its_first_stage_is_trained():
    fields = searched(base())
    assert {"stage_1.training.optim.lr", "stage_3.training.optim.lr", "model.injection.kind", "model.embedded.layers"} <= fields
    assert not any(field.endswith("lora.rank") for field in fields)
    assert budget(base()) == base().stage_3.training.epochs


def test_a_later_stage_is_searched_alone_and_leaves_the_model_as_it_is():
    settings = base(stage=2, **{"stage_2.training.epochs": 17})
    fields = searched(settings)
    assert fields
    assert all(field.startswith("stage_2.") for field in fields)
    assert budget(settings) == 17


def test_adapters_are_searched_where_there_are_some():
    fields = searched(base("llama-3.2-3b-lora"))
    assert {f"stage_{stage}.trainable.lora.rank" for stage in (1, 2, 3)} <= fields
    assert not any(field.startswith("model.embedded.") for field in fields)
    assert not any(field.endswith("lora.rank") for field in searched(base("llama-3.2-3b")))


def test_what_a_model_does_not_hear_is_not_searched():
    assert not any("injection" in field for field in searched(base(**{"model.inputs": "units"})))
    assert not any("injection" in field for field in searched(base(stage="1", **{"model.residuals_from": 2})))
    assert "model.unit_mode" not in searched(base(**{"model.inputs": "residuals"}))
    assert not any(
        field.startswith("model.injection") or field == "model.unit_mode" for field in searched(base(**{"model.inputs": "text"}))
    )


@pytest.mark.parametrize("preset", ["embedded", "llama-3.2-3b", "llama-3.2-3b-lora"])
@pytest.mark.parametrize("seed", range(5))
def test_any_draw_gives_stages_that_can_be_run(preset, seed):
    settings = base(preset)
    drawn = with_values(settings, {field: SPACE[field].sample(random_state=seed) for field in searched(settings)})
    assert [stage_run(drawn, stage, drawn.model).stage for stage in drawn.stages] == [1, 2, 3]
