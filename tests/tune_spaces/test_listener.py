import pytest

from rapport.core.config import find_preset, read_config, with_values
from rapport.models.listener.model import HeadMotionModel
from rapport.tune_spaces.listener import CONFIG, METRIC, SPACE, applies, budget


def base(preset="embedded", **values):
    return with_values(read_config(CONFIG, find_preset(preset, "train_listener")), values)


def searched(settings):
    return {field for field in SPACE if applies(field, settings)}


def test_a_network_is_searched_with_its_own_settings():
    assert {field.split(".")[2] for field in searched(base()) if field.startswith("model.network.")} == {"tcn"}
    assert {field.split(".")[2] for field in searched(base("lstm-linear")) if field.startswith("model.network.")} == {"lstm_linear"}
    assert not any(field.startswith("model.network.") for field in searched(base("faithful")))
    assert budget(base(**{"training.epochs": 7})) == 7


def test_what_a_model_does_not_have_is_not_searched():
    assert "training.loss.likelihood_weight" not in searched(base("faithful"))
    assert "model.smoothing.min_cutoff_hz" not in searched(base("faithful"))
    assert "model.smoothing.min_cutoff_hz" not in searched(base())
    filtered = base(**{"model.smoothing.kind": "one_euro"})
    assert {"training.loss.likelihood_weight", "model.smoothing.min_cutoff_hz"} <= searched(filtered)


def test_it_judges_by_what_trainings_select_by():
    assert base().training.select_by == METRIC


@pytest.mark.parametrize("preset", ["embedded", "lstm-linear"])
@pytest.mark.parametrize("seed", range(5))
def test_any_draw_gives_a_model(preset, seed):
    settings = base(preset)
    drawn = with_values(settings, {field: SPACE[field].sample(random_state=seed) for field in searched(settings)})
    assert any(p.requires_grad for p in HeadMotionModel(drawn.model).parameters())
