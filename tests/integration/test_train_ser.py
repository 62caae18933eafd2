"""Training as a user runs it: killed with no warning and run again, and with a pretrained encoder read from disk."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from rapport.core import storage
from rapport.core.config import ConfigError, dump_config
from rapport.models.ser.inference import Predictor
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.train_ser import run
from tests.models.ser.conftest import speech, write_encoder
from tests.toy_ser import EMOTIONS, prepare_toys, toy_settings

ROOT = Path(__file__).resolve().parents[2]
LONG = {"training": {"epochs": 12, "save_every_steps": 1}, "augment": {"gain": {"p": 1.0}, "equaliser": {"p": 0.5}}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    prepare_toys(root)
    return root


def command(config: TrainSerConfig, folder: Path, *flags: str) -> list[str]:
    path = folder / f"{config.name}.yaml"
    path.write_text(dump_config(config))
    return [sys.executable, "-m", "rapport.ray_jobs.train_ser", "--config", str(path), *flags]


def weights(model: str) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(model) / "model.safetensors")


def history(folder: str) -> list[dict[str, Any]]:
    lines = storage.read_bytes(storage.join(folder, "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_killed_at_a_random_step_and_run_again_it_ends_as_if_never_killed(root, ray_cluster, tmp_path):
    whole = run(toy_settings(root, name="whole", **LONG))
    line = command(toy_settings(root, name="killed", **LONG), tmp_path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "log", "w") as log:
        first = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log)
        checkpoints = root / "runs/train_ser/killed/checkpoints"
        wanted = random.randint(1, 30)
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
    assert history(result["folder"]) == history(whole["folder"])
    for name, tensor in weights(whole["model"]).items():
        assert np.array_equal(tensor, weights(result["model"])[name]), name


def test_a_tiny_hubert_from_disk_trains_resumes_and_answers(root, ray_cluster, tmp_path):
    write_encoder(tmp_path / "hubert", "hubert-group")
    encoder = {"name": str(tmp_path / "hubert"), "layer_weights": True, "lora": {"rank": 2}, "unfreeze_last_n_layers": 1}
    changes: dict[str, Any] = {"model": {"encoder": encoder}, "training": {"epochs": 2, "optim": {"lr": 1e-3, "encoder_lr": 1e-4}}}
    result = run(toy_settings(root, name="hubert", **changes))
    assert set(history(result["folder"])[0]["learning_rate"]) == {"encoder", "head"}
    assert result["trained_parameters"] < result["parameters"]
    kept = safetensors.numpy.load_file(next(Path(result["folder"]).glob("checkpoints/*/state.safetensors")))
    assert not any(name.startswith("model/encoder.backbone.encoder.layers.0") and "lora_" not in name for name in kept), "frozen: not kept"

    # What a kill after the last checkpoint leaves behind.
    before = weights(result["model"])
    storage.remove(storage.join(result["folder"], "result.json"))
    storage.remove(result["model"])
    again = run(toy_settings(root, name="hubert", **changes))
    assert again["resumed"]
    assert all(np.array_equal(tensor, weights(again["model"])[name]) for name, tensor in before.items())

    predictor = Predictor.from_pretrained(again["model"], device="cpu")
    assert predictor.emotions == EMOTIONS
    assert predictor.predict([speech(0.7).numpy()])[0].emotion in EMOTIONS

    with pytest.raises(ConfigError, match=r"training\.epochs: then 2, now 3"):
        run(toy_settings(root, name="hubert", **{**changes, "training": {**changes["training"], "epochs": 3}}))
