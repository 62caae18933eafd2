"""Random models of made conversations."""

from pathlib import Path
from typing import Any

from rapport.datasets.conversations.examples import ExampleStore
from rapport.models.adapters import add_adapters
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.erc.model_config import ErcModelConfig
from rapport.models.erc.pretrained import build_model, save_pretrained
from rapport.models.ser.config import LoraConfig
from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig
from tests.models.erc.tiny_llm import base_folder, decisive, learn_something

SIZES = EmbeddedLlamaConfig(hidden=24, layers=1, heads=2, mlp=32, vocabulary=400, max_positions=1024)


def facts_of(store: ExampleStore, seed: int) -> dict[str, Any]:
    """What train_coe writes down of a model."""
    data = {"folder": store.folder, **{name: store.manifest[name] for name in ("name", "corpus", "digest", "made", "prompt")}}
    return {"strategy": "full_curriculum", "stage": "erc", "seed": seed, "key": f"key of {seed}", "data": [data]}


def make_model(root: Path, name: str, store: ExampleStore, seed: int = 0, **facts: Any) -> Path:
    """A random model, sure enough of itself that its answers differ from line to line."""
    config = ErcModelConfig(base="embedded", embedded=SIZES)
    model = decisive(build_model(config, tokenizer=store.tokenizer_folder), seed)
    folder = root / "models" / "coe" / name
    save_pretrained(model, folder, facts={**facts_of(store, seed), **facts})
    return folder


def make_adapter(root: Path, name: str, store: ExampleStore) -> Path:
    """Random adapters on a base model of their own."""
    model = build_model(ErcModelConfig(base=str(base_folder(root / "bases" / name))))
    add_adapters(model.base, LoraConfig(rank=2, alpha=2))
    learn_something(model)
    folder = root / "models" / "coe" / name
    save_pretrained(model, folder, facts=facts_of(store, 9))
    return folder


def settings(root: Path, **changes: Any) -> EvaluateCoeConfig:
    """An evaluation that starts little."""
    rollouts = {"actors": 1, "cpus_per_actor": 1, "block_rows": 64}
    given = {"storage": str(root), "resamples": 100, "rollouts": rollouts, "generation": {"max_new_tokens": 12}, "shown": 4}
    return EvaluateCoeConfig.model_validate({**given, **changes})
