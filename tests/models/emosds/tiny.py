"""A tiny speech language model, and examples and speech for it."""

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rapport.core.examples import ASSISTANT, USER, Example
from rapport.core.schema import Turn
from rapport.core.units import SpeechUnits
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.emosds.config import EmosdsConfig, InjectionConfig
from rapport.models.emosds.model import SpeechLanguageModel

TEXTS = ["The lamp in the hall was burning.", "I missed the last bus.", "That is rough, shall I look for a night train?"] * 3
CLUSTERS, WIDTH = 12, 6
HISTORY = (
    Turn(ASSISTANT, "Did the parcel arrive?", "neutral"),
    Turn(USER, "Yes, this morning!", "happy"),
    Turn(ASSISTANT, "Great, does it fit?", "happy"),
)


def tiny_config(**settings: Any) -> EmosdsConfig:
    defaults = {
        "base": "embedded",
        "embedded": EmbeddedLlamaConfig(hidden=24, layers=2, heads=2, mlp=32, vocabulary=300),
        "clusters": CLUSTERS,
        "residual_width": WIDTH,
        "injection": InjectionConfig(kind="tile"),
    }
    return EmosdsConfig(**{**defaults, **settings})


def decisive(model: SpeechLanguageModel) -> SpeechLanguageModel:
    """Random, but with differences between tokens that rounding does not turn round."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.base.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.35)
    return model.eval()


def speech(frames: int, seed: int = 0) -> SpeechUnits:
    rng = np.random.default_rng(seed)
    ids = np.repeat(rng.integers(0, CLUSTERS, frames), 2)[:frames]
    return SpeechUnits.of(ids, rng.normal(size=(frames, WIDTH)).astype(np.float16))


def example(stage: int, name: str = "a", **fields: Any) -> Example:
    facts: dict[str, Any] = {"text": "I missed the last bus."}
    if stage >= 2:
        facts["emotion"] = "sad"
    if stage == 3:
        facts |= {"reply_text": "That is rough, shall I look for a night train?", "reply_emotion": "neutral", "history": HISTORY}
    return Example(name, stage=stage, split="train", utterance_id=name, corpus="toy", **{**facts, **fields})  # type: ignore[arg-type]


def published_tokenizer(reserved_pad: bool) -> PreTrainedTokenizerFast:
    """A tokenizer with the 128,256 entries of Llama 3."""
    special = ["<|begin_of_text|>", "<|eot_id|>", "<|finetune_right_pad_id|>" if reserved_pad else "<|reserved|>"]
    vocabulary = {word: index for index, word in enumerate([*special, *(f"w{i}" for i in range(128_256 - 3))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=special[0], eos_token=special[1])
