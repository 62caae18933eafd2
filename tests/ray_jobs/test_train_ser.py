"""The training job at toy size, on a corpus of tones in RAVDESS' layout: what it leaves behind, and how it goes on after a death."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.core.errors import RapportError
from rapport.datasets.assemble import assemble
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.datasets.stages.decode import decode_chunk
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.train_ser import run, train

RATE_HZ = 16_000
PITCHES_HZ = {"01": 300, "03": 900, "04": 2500}


def write_corpus(root: Path, actors: range, takes: int = 2) -> None:
    """Tones whose pitch tells the emotion, named as RAVDESS names its clips."""
    for actor in actors:
        for emotion, pitch_hz in PITCHES_HZ.items():
            for statement in range(1, takes + 1):
                random = np.random.default_rng([actor, int(emotion), statement])
                times_s = np.arange(int(RATE_HZ * random.uniform(0.4, 0.7))) / RATE_HZ
                wave = 0.3 * np.sin(2 * np.pi * pitch_hz * random.uniform(0.9, 1.1) * times_s) + 0.02 * random.standard_normal(len(times_s))
                path = root / f"Actor_{actor:02d}" / f"03-01-{emotion}-01-0{statement}-01-{actor:02d}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, wave.astype(np.float32), RATE_HZ)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with eight actors prepared: four to train on, two to validate, two to test."""
    root = tmp_path_factory.mktemp("storage")
    write_corpus(root / "raw", range(1, 9))
    config = PrepareConfig.model_validate(
        {
            "corpus": {"name": "ravdess", "root": str(root / "raw")},
            "storage": str(root),
            "split": {"validation": 0.25, "test": 0.25},
        }
    )
    plan = plan_corpus(config)
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, config.limits)
    assemble(plan)
    return root


def settings(root: Path, **changes) -> TrainSerConfig:
    values = {
        "storage": str(root),
        "model": {
            "emotions": ["neutral", "happy", "sad"],
            "encoder": {"logmel": {"bands": 16, "width": 0.3, "projection": 16, "gru_hidden": 8, "pitch": {"candidates": 0}}},
            "head": {"hidden": 16},
        },
        "training": {"epochs": 3, "batch_size": 8, "optim": {"lr": 0.01}, "ema_decay": 0.9, **changes.pop("training", {})},
        "workers": {"cpus": 1, "use_gpu": "no", **changes.pop("workers", {})},
        **changes,
    }
    return TrainSerConfig.model_validate(values)


def history(result) -> list[dict]:
    lines = storage.read_bytes(storage.join(result["folder"], "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def test_a_run_leaves_a_model_curves_and_its_settings(root, ray_cluster):
    result = run(settings(root, name="first"))
    folder, model = Path(result["folder"]), Path(result["model"])

    assert [record["epoch"] for record in history(result)] == [1, 2, 3]
    assert np.load(folder / "confusions.npy").shape == (3, 3, 3)
    assert list((folder / "tensorboard").glob("events.*"))
    assert yaml.safe_load((folder / "config.yaml").read_text())["name"] == "first"
    assert len(list((folder / "checkpoints").iterdir())) == 1
    assert result["clips"] == {"train": {"ravdess": 24}, "validation": {"ravdess": 12}, "held_out": {"ravdess": 12}}
    assert result["tests"]["held_out"]["count"] == 12

    metrics = json.loads((model / "metrics.json").read_text())
    assert metrics["tests"]["held_out"]["interval"]["units"] == 2
    assert SpeechEmotionClassifier.from_pretrained(model).emotions == ("neutral", "happy", "sad")
    SpeechEmotionClassifier.from_pretrained(model / "last")
