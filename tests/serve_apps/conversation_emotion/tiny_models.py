"""A tiny model of emotions in conversations on disk, and adapters that go with it and that do not."""

from pathlib import Path
from typing import Any

from rapport.core.conversations import LABELS
from rapport.models.erc.model import apply_trainable
from rapport.models.erc.model_config import ErcModelConfig, ErcTrainableConfig
from rapport.models.erc.pretrained import build_model, save_pretrained
from rapport.models.ser.config import LoraConfig
from tests.models.erc.tiny_llm import base_folder, learn_something


def write_models(root: Path) -> Path:
    """Adapters on one base: the `model` itself, and in `adapters`: `one` and `wider` for MELD, `friends` for EmoryNLP; also `stranger`,
    which was made for another base, and `broken`, which has no weights."""
    base, other = base_folder(root / "base"), base_folder(root / "other", seed=1)
    meld, emory = ({"data": [build_of(corpus)]} for corpus in ("meld", "emorynlp"))
    _save(root / "model", base, 0, meld)
    _save(root / "adapters" / "one", base, 1, meld)
    _save(root / "adapters" / "wider", base, 2, {}, rank=6)
    _save(root / "adapters" / "friends", base, 3, emory)
    _save(root / "adapters" / "stranger", other, 4, meld)
    _save(root / "adapters" / "broken", base, 5, meld)
    (root / "adapters" / "broken" / "adapter" / "adapter_model.safetensors").unlink()
    return root


def build_of(corpus: str) -> dict[str, Any]:
    """What a model folder says of the examples that it learned from."""
    return {"corpus": corpus, "labels": list(LABELS[corpus]), "prompt": {"wording": "short"}}


def _save(folder: Path, base: Path, seed: int, facts: dict[str, Any], rank: int = 4) -> None:
    model = build_model(ErcModelConfig(base=str(base)))
    apply_trainable(model, ErcTrainableConfig(lora=LoraConfig(rank=rank)))
    learn_something(model, seed)
    save_pretrained(model, folder, facts=facts)
