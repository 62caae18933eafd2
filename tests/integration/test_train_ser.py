"""Training on a pretrained encoder as it is loaded in earnest, from a folder that `transformers` wrote."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy
from ray import serve

from rapport.core import storage
from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav, load_speech
from rapport.core.config import ConfigError
from rapport.models.ser.inference import Predictor
from rapport.ray_jobs.local_cluster import free_port
from rapport.ray_jobs.serve_app import deploy
from rapport.ray_jobs.train_ser import run
from rapport.serve_apps.ser import Args
from tests.models.ser.conftest import speech, write_encoder
from tests.toy_ser import EMOTIONS, prepare_toys, toy_settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    prepare_toys(root)
    return root


def weights(model: str) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(Path(model) / "model.safetensors")


def history(folder: str) -> list[dict[str, Any]]:
    lines = storage.read_bytes(storage.join(folder, "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_tiny_hubert_from_disk_trains_resumes_and_serves(root, ray_cluster, tmp_path):
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
    wav = encode_wav(speech(0.7).numpy(), SAMPLE_RATE_HZ)
    offline = predictor.predict([load_speech(wav).samples])[0]
    try:
        url = deploy("ser", Args(model=again["model"], device="cpu"), port=free_port(8731), log_level="ERROR").url
        answer = httpx.post(f"{url}/v1/audio/emotions", files={"file": ("clip.wav", wav)}, timeout=60).json()
    finally:
        serve.shutdown()
    assert answer["emotion"] == offline.emotion
    assert answer["scores"] == pytest.approx(offline.scores, abs=1e-4)

    with pytest.raises(ConfigError, match=r"training\.epochs: then 2, now 3"):
        run(toy_settings(root, name="hubert", **{**changes, "training": {**changes["training"], "epochs": 3}}))
