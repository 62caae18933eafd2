import csv
import json
import re

import pytest
import yaml

from rapport.core.errors import RapportError
from rapport.ray_jobs.compare_runs import CompareRunsConfig, run


@pytest.fixture
def storage_with_runs(tmp_path):
    """Three trainings, two of which differ in their seed alone, one that was killed, and one that was moved aside."""

    def write(name, uar, seed, lr, result=True):
        folder = tmp_path / "runs" / "train_ser" / name
        folder.mkdir(parents=True)
        settings = {"name": name, "storage": "/x", "seed": seed, "corpora": ["/c/ravdess"], "training": {"optim": {"lr": lr}}}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        figures = {"uar": uar, "wa": 0.5, "macro_f1": 0.4, "count": 180, "uar_interval": [uar - 0.1, uar + 0.1]}
        finished = {"folder": str(folder), "revision": "abc", "validation": {**figures, "uar": 0.9}, "tests": {"held_out": figures}}
        if result:
            (folder / "result.json").write_text(json.dumps(finished))

    write("first", 0.5, seed=0, lr=0.1)
    write("second", 0.6, seed=1, lr=0.1)
    write("third", 0.55, seed=0, lr=0.2)
    write("killed", 0.99, seed=0, lr=0.3, result=False)
    write("first.before-20260101T000000", 0.99, seed=0, lr=0.1)
    return tmp_path


def test_finished_runs_are_compared_best_first(storage_with_runs, capsys):
    result = run(CompareRunsConfig(storage=str(storage_with_runs)))
    assert result["runs"] == 3
    assert result["first"]["name"] == "second"
    rows = json.loads((storage_with_runs / "reports" / "train_ser" / "runs.json").read_text())
    assert [row["name"] for row in rows] == ["second", "third", "first"]
    assert rows[0]["uar_interval"] == pytest.approx([0.5, 0.7])
    assert (rows[0]["measured_on"], rows[0]["data"], rows[0]["revision"], rows[0]["validation_uar"]) == ("test", "ravdess", "abc", 0.9)
    printed = capsys.readouterr().err
    assert printed.index("second") < printed.index("third")
    assert "60.0 %" in printed


def test_runs_that_differ_in_their_seed_share_a_hash_and_have_a_mean(storage_with_runs, capsys):
    run(CompareRunsConfig(storage=str(storage_with_runs)))
    rows = {row["name"]: row for row in json.loads((storage_with_runs / "reports" / "train_ser" / "runs.json").read_text())}
    assert rows["first"]["config_hash"] == rows["second"]["config_hash"] != rows["third"]["config_hash"]
    assert "UAR 55.0 % ± 7.1 % over 2 runs" in capsys.readouterr().err


def test_settings_that_differ_have_a_column(storage_with_runs):
    result = run(CompareRunsConfig(storage=str(storage_with_runs)))
    with open(storage_with_runs / "reports" / "train_ser" / "runs.csv", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["third"]["training.optim.lr"] == "0.2"
    assert "corpora" not in rows["third"]
    page = (storage_with_runs / "reports" / "train_ser" / "index.html").read_text()
    assert result["page"].endswith("index.html")
    assert "training.optim.lr" in page
    assert not re.search(r"""src=|href=|https?://""", page)


def test_names_are_chosen_by_pattern(storage_with_runs):
    assert run(CompareRunsConfig(storage=str(storage_with_runs), only="f*, third"))["runs"] == 2
    assert run(CompareRunsConfig(storage=str(storage_with_runs), only="f*", sort_by="name"))["first"]["name"] == "first"


def test_nothing_to_compare_is_told(tmp_path, storage_with_runs):
    with pytest.raises(RapportError, match="no finished run"):
        run(CompareRunsConfig(storage=str(storage_with_runs), only="absent"))
    with pytest.raises(RapportError, match="no finished run"):
        run(CompareRunsConfig(storage=str(tmp_path / "empty")))
