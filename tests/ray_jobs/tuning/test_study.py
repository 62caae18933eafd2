import json
from typing import Any

import pytest
import yaml

from rapport.core.config import ConfigError, read_config, with_values
from rapport.core.errors import RapportError
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.tuning.config import TuneModelConfig
from rapport.ray_jobs.tuning.study import Record, open_study, rounded, trial_key

FIELDS = "training.optim.lr,model.head.hidden"


def begin(root, **changes):
    settings = changes.pop("settings", ("training.epochs=7", "corpora=ravdess,cremad", "augment.gain.p=0.5"))
    return open_study(TuneModelConfig(storage=str(root), fields=FIELDS, settings=settings, **changes))


def test_study_holds_the_base_with_its_changes_and_the_chosen_fields(tmp_path):
    study = begin(tmp_path)
    assert study.budget == 7
    assert study.base.corpora == ("ravdess", "cremad")
    assert set(study.fields) == set(FIELDS.split(","))


def test_trial_settings_have_the_parameters_and_a_place_of_their_own(tmp_path):
    study = begin(tmp_path)
    params = {"training.optim.lr": 0.004, "model.head.hidden": 64}
    settings = study.settings(params)
    assert settings.training.optim.lr == 0.004
    assert settings.storage == study.work(trial_key(params))
    assert settings.storage != study.settings({**params, "model.head.hidden": 128}).storage


def test_preset_is_sparse_holds_no_place_and_gives_the_settings_back(tmp_path):
    study = begin(tmp_path)
    best = Record({"training.optim.lr": 0.004, "model.head.hidden": 64}, history=[(1, 0.4), (5, 0.625)])
    text = study.preset(best)
    preset = yaml.safe_load(text)
    assert preset == {
        "model": {"head": {"hidden": 64}},
        "training": {"epochs": 7, "optim": {"lr": 0.004}},
        "augment": {"gain": {"p": 0.5}},
    }
    assert "uar 0.6250 on validation" in text
    (tmp_path / "best.yaml").write_text(text)
    read = read_config(TrainSerConfig, tmp_path / "best.yaml")
    expected = with_values(study.base, {**best.params, "corpora": read.corpora, "storage": read.storage})
    assert read == expected


def test_records_come_back_in_the_order_they_were_begun(tmp_path):
    study = begin(tmp_path)

    def params(lr: float) -> dict[str, Any]:
        return {"training.optim.lr": lr, "model.head.hidden": 64}

    records = [
        Record(params(0.002), 1, "finished", [(1, 0.002)]),
        Record(params(0.001), 2, "running", [(1, 0.5), (2, 0.6)]),
        Record(params(0.003), 3, "failed", [(1, 0.9)], "boom"),
    ]
    for record in reversed(records):
        study.save(record)
    assert study.records() == records
    assert study.best(records).score == 0.6


def test_a_search_without_a_score_says_what_went_wrong(tmp_path):
    study = begin(tmp_path)
    with pytest.raises(RapportError, match="no corpus"):
        study.best([Record({}, 1, "failed", error="no corpus")])


def test_another_search_under_the_same_name_is_refused_and_can_be_begun_afresh(tmp_path):
    study = begin(tmp_path)
    study.save(Record({"training.optim.lr": 0.002, "model.head.hidden": 64}))
    assert len(begin(tmp_path).records()) == 1
    with pytest.raises(ConfigError, match=r"another base.*--fresh"):
        begin(tmp_path, settings=("training.epochs=9",))
    assert begin(tmp_path, settings=("training.epochs=9",), fresh=True).records() == []


def test_more_workers_do_not_make_it_another_search(tmp_path):
    begin(tmp_path, settings=("training.epochs=7",))
    begin(tmp_path, settings=("training.epochs=7", "workers.cpus=4"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"settings": ("training.epoch=7",)}, "did you mean training.epochs"),
        ({"settings": ("training.epochs",)}, "KEY=VALUE"),
        ({"space": "serr"}, "did you mean 'ser'"),
        ({"base": "absent"}, "absent"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, changes, complaint):
    with pytest.raises(RapportError, match=complaint):
        begin(tmp_path, **changes)


def test_a_field_that_the_space_lacks_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"training\.patience"):
        open_study(TuneModelConfig(storage=str(tmp_path), fields="training.patience"))


def test_what_is_tried_is_what_a_preset_can_say():
    assert rounded({"lr": 0.00123456, "hidden": 64, "on": True, "name": "x"}) == {"lr": 0.001235, "hidden": 64, "on": True, "name": "x"}


def test_equal_parameters_have_equal_keys_in_any_order():
    assert trial_key({"a": 1, "b": 0.5}) == trial_key(json.loads('{"b": 0.5, "a": 1}'))
