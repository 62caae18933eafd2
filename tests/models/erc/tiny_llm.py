"""A tiny language model of emotions, and questions for it."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from rapport.core.conversations import LABELS, ErcExample
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.embedded import write_embedded
from rapport.models.erc.model import ErcModel
from rapport.models.erc.model_config import ErcModelConfig
from rapport.models.erc.pretrained import build_model

SIZES = EmbeddedLlamaConfig(hidden=24, layers=2, heads=2, mlp=32, vocabulary=320)
LINES = ["Tom: Who finished the milk?", "Lucy: It was empty, I swear.", "Kim: They called, I got the grant!", "Sam: You hid it?"]
TEXTS = [*LINES, *(f"ANSWER: {label}" for labels in LABELS.values() for label in labels), "QUESTION: LABELS: DIALOGUE:"] * 3


def prompt(number: int) -> str:
    """Prompts of unlike length."""
    lines = "\n".join(LINES[: 1 + number % len(LINES)])
    return f"DIALOGUE:\n{lines} {'again ' * (number // 2)}\nQUESTION: {number}\nLABELS: {', '.join(LABELS['meld'])}\nANSWER:"


def example(number: int, target: str | None = None) -> ErcExample:
    label = LABELS["meld"][number % 7]
    name = f"meld/train/{number}/3/erc"
    return ErcExample(name, "erc", prompt(number), label if target is None else target, label, LABELS["meld"])


def decisive(model: ErcModel, seed: int = 7) -> ErcModel:
    """Random, but with differences between tokens that rounding does not turn round."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.base.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.35)
    return model.eval()


def build(**settings: Any) -> ErcModel:
    """A fresh one."""
    return decisive(build_model(ErcModelConfig(**{"base": "embedded", "embedded": SIZES, **settings}), TEXTS))


@lru_cache(maxsize=1)
def tiny() -> ErcModel:
    """One that tests leave as it is."""
    return build()


def base_folder(folder: Path, seed: int = 0) -> Path:
    """A base model on disk; another seed gives another one of the same shape."""
    sizes = SIZES.model_copy(update={"initializer_range": 0.35})
    return write_embedded(folder, TEXTS, sizes, seed)


def learn_something(model: ErcModel, seed: int = 0) -> None:
    """Give adapters weights, as a training would."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.5)
