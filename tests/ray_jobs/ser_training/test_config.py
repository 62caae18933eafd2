import pytest
from pydantic import ValidationError

from rapport.core.config import load_config
from rapport.ray_jobs.ser_training.config import TrainSerConfig, resolved


@pytest.mark.parametrize("given", [["ravdess,cremad"], ["ravdess", "cremad"], ["ravdess, cremad,"]])
def test_corpora_are_separated_by_commas_or_spaces(given):
    assert load_config(TrainSerConfig, ["--corpora", *given], job="train_ser").corpora == ("ravdess", "cremad")


def test_no_corpus_is_refused():
    with pytest.raises(ValidationError, match="name at least one"):
        TrainSerConfig(corpora=())


def test_noise_augmentation_wants_noise():
    with pytest.raises(ValidationError, match="set noise to a prepared corpus"):
        TrainSerConfig.model_validate({"augment": {"noise": {"p": 0.5}}})


def test_a_batch_that_workers_cannot_share_is_refused():
    with pytest.raises(ValidationError, match="cannot be shared by 3 workers"):
        TrainSerConfig.model_validate({"workers": {"count": 3}})


def test_a_name_that_would_leave_its_folder_is_refused():
    with pytest.raises(ValidationError, match="pattern"):
        TrainSerConfig(name="../elsewhere")


def test_what_follows_from_other_settings_is_filled_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoder").mkdir()
    config = TrainSerConfig.model_validate(
        {
            "storage": "here",
            "corpora": ["a", "b", "c"],
            "augment": {"window": {"p": 1.0, "length_s": [1.5, 2.5]}},
            "training": {"precision": "fp32"},
            "model": {"encoder": {"name": "./encoder"}},
        }
    )
    full = resolved(config)
    assert full.storage == str(tmp_path / "here")
    assert full.model.domain.domains == 3
    assert full.model.decoding.window_s == 2.5
    assert not full.model.encoder.logmel.bf16
    assert full.model.encoder.name == str(tmp_path / "encoder")
    assert resolved(full) == full
