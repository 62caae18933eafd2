import pytest

from rapport.core.config import with_values
from rapport.tune_spaces.ser import CONFIG, SPACE, applies


def base(**values):
    return with_values(CONFIG(), {"model.encoder.name": values.pop("encoder", "logmel"), **values})


def searched(settings):
    return {field for field in SPACE if applies(field, settings)}


def test_an_embedded_encoder_is_searched_with_its_own_augmentation():
    fields = searched(base())
    assert "model.encoder.logmel.augment.warp" in fields
    assert not fields & {"training.optim.encoder_lr", "model.encoder.unfreeze_last_n_layers", "model.domain.grl_lambda", "augment.noise.p"}
    assert len(fields) >= 8


def test_a_pretrained_encoder_is_searched_with_its_rate_and_its_layers():
    fields = searched(base(encoder="hubert-base"))
    assert {"training.optim.encoder_lr", "training.optim.lr", "model.encoder.unfreeze_last_n_layers"} <= fields
    assert not any(field.startswith("model.encoder.logmel") for field in fields)
    assert len(fields) >= 8


def test_an_encoder_that_trains_as_a_whole_has_no_layers_to_unfreeze():
    fields = searched(base(encoder="hubert-base", **{"model.encoder.freeze": False}))
    assert "model.encoder.unfreeze_last_n_layers" not in fields


def test_domains_and_noise_are_searched_where_there_are_some():
    fields = searched(base(corpora=("ravdess", "cremad"), noise="musan"))
    assert {"model.domain.grl_lambda", "augment.noise.p"} <= fields


@pytest.mark.parametrize("encoder", ["logmel", "hubert-base"])
@pytest.mark.parametrize("seed", range(5))
def test_any_draw_gives_settings_that_go_together(encoder, seed):
    settings = base(encoder=encoder, corpora=("ravdess", "cremad"), noise="musan")
    with_values(settings, {field: SPACE[field].sample(random_state=seed) for field in searched(settings)})
