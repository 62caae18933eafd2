"""A few made conversations as examples, and settings of a training on them that takes seconds."""

from pathlib import Path
from typing import Any

from rapport.datasets.conversations.examples import ExampleStore, open_examples
from rapport.ray_jobs.build_coe import run as build
from rapport.ray_jobs.coe_data.config import BuildCoeConfig
from rapport.ray_jobs.coe_training.config import TrainCoeConfig
from rapport.ray_jobs.make_conversations import MakeConversationsConfig
from rapport.ray_jobs.make_conversations import run as make

TRAINING = {
    "epochs": 2,
    "batch_tokens": 1024,
    "batch_rows": None,
    "batches_per_step": 1,
    "optim": {"lr": 0.003},
    "precision": "fp32",
    "save_every_steps": 2,
}


def build_toy(root: Path, corpus: str = "meld") -> ExampleStore:
    """Examples below a storage root, under the name of the corpus."""
    dramas = {"corpus": corpus, "train": 12, "validation": 3, "test": 3, "people": 8, "facts": 20}
    make(MakeConversationsConfig.model_validate({"storage": str(root), "dramas": dramas}))
    settings = {
        "storage": str(root),
        "name": corpus,
        "corpus": {"name": corpus, "root": f"made-{corpus}"},
        "prompt": {"wording": "short", "max_tokens": 512, "answer_tokens": 96},
        "tokenizer": {"vocabulary": 400},
    }
    return open_examples(str(build(BuildCoeConfig.model_validate(settings))["folder"]))


def settings(root: Path, name: str, **changes: Any) -> TrainCoeConfig:
    stage = {"training": TRAINING, "examples": 12}
    values = {
        "storage": str(root),
        "name": name,
        "data": "meld",
        "strategy": "custom",
        "model": {
            "base": "embedded",
            "embedded": {"hidden": 32, "layers": 1, "heads": 2, "mlp": 32, "vocabulary": 400},
            "tokens": {"max_tokens": 512},
        },
        "trainable": {"lora": {"rank": 4, "dropout": 0.0}},
        **dict.fromkeys(("base", "role_play", "speaker", "erc"), stage),
        "joint": {"training": TRAINING},
        "mixture": {"caps": {"role_play": 6, "speaker": 6}, "memory_validation": 0.2},
        "steer": {"rounds": 2, "training": {**TRAINING, "epochs": 1, "selection": "last"}, "validation_examples": 4},
        "workers": {"cpus": 1, "use_gpu": "no"},
        "rollouts": {"actors": 1},
        "tracking": {"tensorboard": False},
        **changes,
    }
    return TrainCoeConfig.model_validate(values)
