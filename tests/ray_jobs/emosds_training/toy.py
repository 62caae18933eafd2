"""Examples and units of faint noise, and settings of a training on them that takes seconds."""

from pathlib import Path
from typing import Any

from rapport.ray_jobs.build_emosds import run as build
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.emosds_training.config import TrainEmosdsConfig
from tests.toy_emosds import write_toy, write_units

TRAINING = {"epochs": 3, "batch_tokens": 512, "batches_per_step": 2, "optim": {"lr": 0.003}, "precision": "fp32", "save_every_steps": 2}


def build_toy(root: Path) -> Path:
    """Units and built examples below a storage root, which this gives back."""
    dialogues = write_toy(root, sentences=30)
    write_units(root)
    limits = {"per_emotion": 24, "held_out": 8}
    build(BuildEmosdsConfig.model_validate({"storage": str(root), "dialogues": str(dialogues), "limits": limits}))
    return root


def settings(root: Path, name: str, *, training: dict[str, Any] | None = None, **changes: Any) -> TrainEmosdsConfig:
    stage = {"training": {**TRAINING, **(training or {})}}
    values = {
        "storage": str(root),
        "name": name,
        "model": {
            "base": "embedded",
            "embedded": {"hidden": 32, "layers": 2, "heads": 2, "mlp": 32, "vocabulary": 300},
            "injection": {"kind": "strided", "stride": 2},
            "instructions": "short",
            "max_tokens": 512,
        },
        "stage_1": {**stage, "trainable": {"layers": [0]}},
        "stage_2": stage,
        "stage_3": {**stage, "trainable": {"lora": {"rank": 4}}},
        "workers": {"cpus": 1, "use_gpu": "no"},
        **changes,
    }
    return TrainEmosdsConfig.model_validate(values)
