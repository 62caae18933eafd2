"""A search over the settings of one stage, up to where trials begin."""

from pathlib import Path

import yaml

from rapport.core.config import dump_config
from rapport.ray_jobs.emosds_training.sources import find_sources
from rapport.ray_jobs.train_emosds import for_search
from rapport.ray_jobs.tuning.config import TuneModelConfig
from rapport.ray_jobs.tuning.study import Record, Study, open_study
from tests.ray_jobs.emosds_training.toy import build_toy, settings
from tests.toy_emosds import write_model


def begin(root: Path) -> Study:
    (root / "base.yaml").write_text(dump_config(settings(root, "base", model={"base": "embedded", "injection": {"kind": "linear"}})))
    asked = {"space": "emosds", "storage": str(root), "base": str(root / "base.yaml"), "settings": ["stage=2", "start_from=first"]}
    return open_study(TuneModelConfig.model_validate(asked))


def test_a_trial_reads_what_lies_below_another_storage_root(tmp_path):
    build_toy(tmp_path)
    write_model(tmp_path / "models" / "emosds" / "first", stage=1)
    study = begin(tmp_path)
    assert study.budget == 3
    base = for_search(study.base)
    assert (base.stage_2.training.selection, base.stage_2.training.select_by) == ("best", "loss")
    trial = base.model_copy(update={"storage": study.work("trial")})
    sources = find_sources(trial, 2)
    assert sources == find_sources(study.base, 2)
    assert sources.predecessor == str(tmp_path / "models/emosds/first")
    assert len(sources.units) == 2


def test_a_preset_holds_the_stage_and_nothing_about_what_it_was_trained_on(tmp_path):
    build_toy(tmp_path)
    study = begin(tmp_path)
    preset = yaml.safe_load(study.preset(Record({"stage_2.training.optim.lr": 0.004}, history=[(1, 2.0)])))
    assert preset["stage_2"]["training"]["optim"]["lr"] == 0.004
    assert not {"data", "units", "stage", "start_from", "storage", "name", "workers"} & preset.keys()
