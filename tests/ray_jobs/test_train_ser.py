"""The training job at toy size: what it leaves behind, how it goes on after a death, and that workers agree."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml

from rapport.core import storage
from rapport.core.config import dump_config
from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.inference import Predictor
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.train_ser import run
from tests.models.ser.conftest import write_encoder
from tests.ray_jobs.striking import kill_worker
from tests.toy_ser import EMOTIONS, prepare_toys, toy_settings

# Long enough to be killed in the middle.
LONG = {"training": {"epochs": 10, "save_every_steps": 1}, "augment": {"gain": {"p": 1.0}, "equaliser": {"p": 0.5}}}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    prepare_toys(root)
    return root


@pytest.fixture(scope="module")
def whole(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    """A training that nothing interrupted."""
    return run(toy_settings(root, name="whole", **LONG))


def history(result: dict[str, Any]) -> list[dict[str, Any]]:
    lines = storage.read_bytes(storage.join(result["folder"], "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def weights(result: dict[str, Any], folder: str = "") -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(result["model"]) / folder / "model.safetensors")


def command(config: TrainSerConfig, folder: Path, *flags: str) -> list[str]:
    path = folder / f"{config.name}.yaml"
    path.write_text(dump_config(config))
    return [sys.executable, "-m", "rapport.ray_jobs.train_ser", "--config", str(path), *flags]


def test_a_run_leaves_a_model_curves_and_its_settings(whole, root):
    folder, model = Path(whole["folder"]), Path(whole["model"])
    assert [record["epoch"] for record in history(whole)] == list(range(1, 11))
    assert np.load(folder / "confusions.npy").shape == (10, 3, 3)
    assert list((folder / "tensorboard").glob("events.*"))
    assert yaml.safe_load((folder / "config.yaml").read_text())["name"] == "whole"
    assert len(list((folder / "checkpoints").iterdir())) == 1
    assert storage.read_json(folder / "result.json") == json.loads(json.dumps(whole))
    assert whole["clips"] == {"train": {"ravdess": 24}, "validation": {"ravdess": 12}, "held_out": {"ravdess": 12}}
    metrics = json.loads((model / "metrics.json").read_text())
    assert metrics["tests"]["held_out"]["interval"]["units"] == 2
    assert metrics["validation"]["uar"] == max(record["validation"]["uar"] for record in history(whole))
    assert SpeechEmotionClassifier.from_pretrained(model).emotions == EMOTIONS
    SpeechEmotionClassifier.from_pretrained(model / "last")


def test_a_finished_run_is_not_trained_again(whole, root):
    before = (Path(whole["folder"]) / "metrics.jsonl").stat().st_mtime_ns
    assert run(toy_settings(root, name="whole", **LONG)) == json.loads(json.dumps(whole))
    assert (Path(whole["folder"]) / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_worker_that_dies_is_replaced_and_the_result_is_the_same(whole, root):
    killed: list[int] = []
    killer = threading.Thread(target=kill_worker, args=(root / "runs/train_ser/struck", killed), daemon=True)
    killer.start()
    struck = run(toy_settings(root, name="struck", **LONG))
    killer.join()
    assert len(killed) == 1
    assert killed[0] < 10, "it was over before it was struck"
    assert history(struck) == history(whole)
    for folder in ("", "last"):
        for name, tensor in weights(whole, folder).items():
            assert np.array_equal(tensor, weights(struck, folder)[name]), name


def test_killed_at_a_random_step_and_run_again_it_ends_as_if_never_killed(whole, root, tmp_path):
    line = command(toy_settings(root, name="killed", **LONG), tmp_path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "log", "w") as log:
        first = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log)
        checkpoints = root / "runs/train_ser/killed/checkpoints"
        wanted = random.randint(1, 25)
        while first.poll() is None and not any(int(path.name[5:]) >= wanted for path in checkpoints.glob("step-*")):
            time.sleep(0.01)
        assert first.poll() is None, (tmp_path / "log").read_text()
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert not (root / "runs/train_ser/killed/result.json").exists()

    second = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "continuing from" in second.stderr
    result = json.loads(second.stdout.splitlines()[-1])
    assert result["resumed"]
    assert result["tests"] == json.loads(json.dumps(whole["tests"]))
    assert history(result) == history(whole)
    for name, tensor in weights(whole).items():
        assert np.array_equal(tensor, weights(result)[name]), name


def test_two_workers_learn_what_one_learns_and_count_each_clip_once(root, ray_cluster, tmp_path):
    # This encoder normalises each clip on its own and nothing here is random, so only the sharing could make a difference. (A large eps,
    # or Adam would make whole steps of rounding.)
    write_encoder(tmp_path / "hubert", "hubert-layer")
    still = {name: 0.0 for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")}
    facts = json.loads((tmp_path / "hubert/config.json").read_text())
    (tmp_path / "hubert/config.json").write_text(json.dumps({**facts, **still}))
    changes = {
        "model": {
            "encoder": {"name": str(tmp_path / "hubert"), "freeze": False, "layer_weights": True},
            "head": {"hidden": 16, "dropout": 0.0},
        },
        "training": {
            "epochs": 2,
            "mixup": 0.0,
            "precision": "fp32",
            "optim": {"lr": 1e-3, "encoder_lr": 1e-4, "eps": 1e-3},
            "bucket_batches": 1,
        },
    }
    results = [run(toy_settings(root, name=f"by-{n}", workers={"count": n}, **changes)) for n in (1, 2)]
    one, two = results
    assert two["tests"]["held_out"]["count"] == 12
    assert sum(map(sum, history(two)[0]["validation"]["confusion"])) == 12
    for first, second in zip(history(one), history(two), strict=True):
        assert second["train"]["loss"] == pytest.approx(first["train"]["loss"], rel=1e-4)
        assert second["learning_rate"] == first["learning_rate"]
        assert set(second["learning_rate"]) == {"encoder", "head"}
        assert second["validation"]["loss"] == pytest.approx(first["validation"]["loss"], rel=1e-3)
    for name, tensor in weights(one, "last").items():
        np.testing.assert_allclose(weights(two, "last")[name], tensor, atol=2e-4, err_msg=name)


def test_saved_figures_are_those_of_the_saved_model_as_it_answers(whole, root):
    from rapport.ray_jobs.ser_training.data import HELD_OUT, find_sources, select_rows

    config = toy_settings(root)
    selection = select_rows(config, find_sources(config))
    rows = selection.tests[HELD_OUT]
    answers = Predictor.from_pretrained(whole["model"], device="cpu").predict([selection.speech.waveform(r.utterance_id) for r in rows])
    right = sum(answer.emotion == row.emotion for answer, row in zip(answers, rows, strict=True))
    assert right / len(rows) == pytest.approx(whole["tests"]["held_out"]["wa"])


def test_what_the_user_can_mend_is_told_at_once_and_a_fresh_run_moves_an_earlier_one_aside(root, ray_cluster):
    earlier = root / "runs/train_ser/broken"
    storage.write_json(earlier / "result.json", {"name": "earlier"})
    with pytest.raises(RapportError, match="cannot load the encoder"):
        run(toy_settings(root, name="broken", fresh=True, model={"encoder": {"name": "./no/such/encoder"}}))
    aside = list(earlier.parent.glob("broken.before-*"))
    assert [storage.read_json(folder / "result.json") for folder in aside] == [{"name": "earlier"}]


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_training_takes_as_many_workers_of_its_range_as_there_is_room_for(root, ray_cluster):
    size = {"training": {"batch_size": 64}, "workers": {"count": 64, "least": 1, "cpus": 1}}
    result = run(toy_settings(root, name="elastic", **size))
    assert result["epochs"] == 3
    assert result["tests"]["held_out"]["count"] == 12
