"""The evaluation of head motion as a user runs it, on made conversations and random models."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rapport.datasets.listener.build import open_motion
from rapport.ray_jobs.evaluate_listener import run
from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from tests.ray_jobs.listener_evaluation.conftest import Toy
from tests.ray_jobs.listener_evaluation.conftest import toy as toy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OWN = ["causal", "causal (drawn)"]
STILL = ["mean pose", "start pose", "running mean", "other motion"]
CONTROLS = ["causal (hears silence)", "causal (hears another turn)"]


@pytest.fixture(scope="module")
def evaluated(toy: Toy, ray_cluster: dict[str, float]) -> dict:
    config = {"storage": str(toy.root), "models": "causal", "resamples": 100, "shown": 2, "name": "look", "actors": 2}
    return run(EvaluateListenerConfig.model_validate(config))


@pytest.fixture(scope="module")
def metrics(evaluated: dict) -> dict:
    return json.loads((Path(evaluated["folder"]) / "metrics.json").read_text())


def test_all_systems_move_to_the_same_turns_with_every_seed(evaluated: dict, metrics: dict) -> None:
    assert list(evaluated["systems"]) == [*OWN, *CONTROLS, *STILL]
    assert evaluated["repeats"] == 2
    assert {system["turns"] for system in metrics["systems"].values()} == {2 * evaluated["turns"]}
    assert [seed["seed"] for seed in metrics["systems"]["causal"]["by_seed"]] == ["0", "1"]
    means = np.mean([seed["figures"]["mae_deg"] for seed in metrics["systems"]["causal"]["by_seed"]])
    assert metrics["systems"]["causal"]["figures"]["mae_deg"]["value"] == pytest.approx(means)


def test_figures_are_told_fold_by_fold_with_their_spread(metrics: dict) -> None:
    system = metrics["systems"]["causal"]
    assert list(system["by_fold"]) == ["session1", "session2"]
    for name in ("offset_removed_mae_deg", "correlation", "lagged_correlation"):
        folds = [fold[name] for fold in system["by_fold"].values()]
        seeds = [seed["figures"][name] for seed in system["by_seed"]]
        assert system["over_folds"][name] == {"mean": pytest.approx(np.mean(folds)), "deviation": pytest.approx(np.std(folds, ddof=1))}
        assert system["over_seeds"][name] == {"mean": pytest.approx(np.mean(seeds)), "deviation": pytest.approx(np.std(seeds, ddof=1))}
    assert metrics["systems"]["mean pose"]["over_seeds"] == {}


def test_figures_have_intervals_over_listeners_and_differences_from_every_rival(metrics: dict) -> None:
    for system in metrics["systems"].values():
        assert system["interval"]["unit"] == "group"
        assert system["interval"]["units"] == 4
        error = system["figures"]["offset_removed_mae_deg"]
        assert error["low"] <= error["value"] <= error["high"]
        assert system["published"]["mae_deg"] > 0
    assert set(metrics["differences"]) == set(metrics["systems"]) - {"causal"}
    assert metrics["systems"]["start pose"]["figures"]["mae_deg"]["value"] < metrics["systems"]["mean pose"]["figures"]["mae_deg"]["value"]


def test_planted_lags_are_found_in_the_true_motion(metrics: dict) -> None:
    nods = next(row for row in metrics["planted"] if row["angle"] == "pitch")
    assert nods["truth"]["value"] == pytest.approx(nods["planted_s"], abs=0.07)
    assert set(nods["recovered"]) == set(OWN)


def test_motions_are_kept_with_the_truth(evaluated: dict, toy: Toy) -> None:
    rows = pq.read_table(Path(evaluated["folder"]) / "predictions.parquet").to_pylist()
    assert {row["system"] for row in rows} == {"truth", *OWN, *CONTROLS}
    truth = next(row for row in rows if row["system"] == "truth")
    _, pose = open_motion(toy.features).get(truth["turn_id"])
    assert np.allclose(np.column_stack([truth[angle] for angle in ("roll", "pitch", "yaw")]), pose)
    assert {row["seed"] for row in rows if row["system"] == "causal"} == {0, 1}


def test_page_turns_and_card_are_written(evaluated: dict) -> None:
    page = Path(evaluated["page"])
    assert all(name in page.read_text() for name in [*OWN, *STILL])
    turns = sorted((page.parent / "turns").iterdir())
    assert [turn.name for turn in turns] == ["00.html", "01.html"]
    assert "mean pose" in turns[0].read_text()
    assert "data:audio/wav" in turns[0].read_text()
    assert evaluated["card"].endswith("models/listener/causal/README.md")
    assert "fold-session1-seed-0" in Path(evaluated["card"]).read_text()
