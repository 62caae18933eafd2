"""The training job at toy size: one model a fold, how it goes on after a death, and what it leaves behind."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.core.errors import RapportError
from rapport.models.listener.pretrained import from_pretrained
from rapport.ray_jobs.listener_training.config import fold_configs
from rapport.ray_jobs.listener_training.side_by_side import train_side_by_side
from rapport.ray_jobs.train_listener import for_search, run
from tests.ray_jobs.striking import kill_worker
from tests.toy_listener import SESSIONS, build_toy, toy_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    build_toy(root)
    return root


@pytest.fixture(scope="module")
def folds(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    """A model for each session, two at a time."""
    return run(toy_settings(root, name="folds", concurrent=2))


def weights(model: str) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(model) / "model.safetensors")


def history(folder: str) -> list[dict[str, Any]]:
    lines = storage.read_bytes(storage.join(folder, "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_every_session_is_held_out_once_by_a_model_of_its_own(folds, root):
    assert list(folds["trainings"]) == [f"fold-{session}-seed-0" for session in SESSIONS]
    for session, result in zip(SESSIONS, folds["trainings"].values(), strict=True):
        assert result["model"] == str(root / "models/listener/folds" / f"fold-{session}-seed-0")
        assert result["sides"]["test"]["sessions"] == [session]
        assert result["epochs"] == len(history(result["folder"])) == 3
        saved = json.loads((Path(result["model"]) / "metrics.json").read_text())
        assert (saved["fold"], saved["seed"], saved["test"]) == (session, 0, result["test"])
        assert storage.read_json(Path(result["folder"]) / "result.json") == json.loads(json.dumps(result))
        assert from_pretrained(result["model"]).config.streams
    errors = [result["test"]["offset_removed_mae_deg"] for result in folds["trainings"].values()]
    assert folds["test"]["offset_removed_mae_deg"] == pytest.approx(np.mean(errors))
    assert not (root / "runs/train_listener/folds/ray").exists()


def test_a_fold_alone_learns_the_same_as_among_others(folds, root):
    alone = run(toy_settings(root, name="alone", folds="session2"))
    among = folds["trainings"]["fold-session2-seed-0"]
    assert alone["model"] == str(root / "models/listener/alone/fold-session2-seed-0")
    assert history(alone["trainings"]["fold-session2-seed-0"]["folder"]) == history(among["folder"])
    assert all(np.array_equal(tensor, weights(among["model"])[name]) for name, tensor in weights(alone["model"]).items())


def test_finished_folds_stay_and_other_settings_are_refused(folds, root):
    before = {name: Path(result["folder"], "metrics.jsonl").stat().st_mtime_ns for name, result in folds["trainings"].items()}
    again = run(toy_settings(root, name="folds", concurrent=2))
    assert again["trainings"] == json.loads(json.dumps(folds["trainings"]))
    assert before == {name: Path(result["folder"], "metrics.jsonl").stat().st_mtime_ns for name, result in again["trainings"].items()}
    with pytest.raises(ConfigError, match=r"training\.epochs: then 3, now 4"):
        run(toy_settings(root, name="folds", training={"epochs": 4}))


def test_what_stops_a_training_among_others_is_told(root, ray_cluster, tmp_path):
    settings = fold_configs(toy_settings(tmp_path, name="lost"), SESSIONS[:2])
    with pytest.raises(RapportError, match=r"2 of 2 trainings failed: .*no/such/features does not exist"):
        train_side_by_side(settings, "/no/such/features", 2)


def test_a_worker_that_dies_is_replaced_and_the_model_to_serve_is_the_same(root, ray_cluster):
    long = {"epochs": 12, "save_every_steps": 1}
    whole = run(toy_settings(root, name="whole", folds="none", training=long))
    killed: list[int] = []
    killer = threading.Thread(target=kill_worker, args=(root / "runs/train_listener/struck/all-seed-0", killed), daemon=True)
    killer.start()
    struck = run(toy_settings(root, name="struck", folds="none", training=long))
    killer.join()
    assert len(killed) == 1
    assert killed[0] < 12, "it was over before it was struck"
    assert struck["model"] == str(root / "models/listener/struck")
    assert struck["test"] is None
    assert all(np.array_equal(tensor, weights(whole["model"])[name]) for name, tensor in weights(struck["model"]).items())


def test_a_search_trains_once_and_leaves_the_held_out_session_alone(root):
    settings = for_search(toy_settings(root, folds="session2", seeds=(3, 4), training={"selection": "last"}))
    assert (settings.folds, settings.seeds, settings.test, settings.training.selection) == (("session2",), (3,), False, "best")
    assert Path(settings.data).is_absolute()
    assert for_search(toy_settings(root)).folds == ("none",)
