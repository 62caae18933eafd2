"""A language of sums and the smallest Llama that speaks it, for loops and strategies."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import ModelOutput

from rapport.training.sft import LanguageData
from rapport.training.sft_config import SftConfig

DIGITS, ANSWER, END = 10, 11, 12


@dataclass
class Output(ModelOutput):
    loss_sum: Tensor | None = None
    token_count: Tensor | None = None
    correct: Tensor | None = None


class Speller(nn.Module):
    """A Llama with the outputs that the loop wants."""

    def __init__(self, dropout: float = 0.0, tied: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.base = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=16,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=3,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=64,
                attention_dropout=dropout,
                tie_word_embeddings=tied,
            )
        )
        self._no_split_modules = self.base._no_split_modules
        self.checkpointed = False

    def gradient_checkpointing_enable(self) -> None:
        self.checkpointed = True
        self.base.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Output:
        states = self.base.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        wanted = labels[:, 1:]
        chosen = wanted != -100
        logits = self.base.get_output_embeddings()(states[:, :-1][chosen]).float()
        right = (logits.argmax(-1) == wanted[chosen]).sum()
        return Output(nn.functional.cross_entropy(logits, wanted[chosen], reduction="sum"), chosen.sum(), right)


class Reversals:
    """Digits to be said backwards, of unequal length, padded on the left."""

    def __init__(self, count: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.words = [random.integers(0, 10, random.integers(1, 7)) for _ in range(count)]
        self.lengths = np.array([2 * len(word) + 2 for word in self.words])

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        width = self.lengths[indices].max()
        ids = torch.zeros(len(indices), width, dtype=torch.int64)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for row, index in enumerate(indices):
            word = self.words[index]
            said = [*word, ANSWER, *word[::-1], END]
            ids[row, width - len(said) :] = torch.tensor(said)
            mask[row, width - len(said) :] = 1
            labels[row, width - len(word) - 1 :] = torch.tensor(said[len(word) + 1 :])
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def toy_data(train: int = 96, validation: int = 16) -> LanguageData:
    return LanguageData(Reversals(train, 1), Reversals(validation, 2) if validation else None)


def toy_config(**changes) -> SftConfig:
    values = {"epochs": 2, "batch_tokens": 128, "batches_per_step": 2, "optim": {"lr": 5e-3, "weight_decay": 0.1}, "precision": "fp32"}
    return SftConfig.model_validate({**values, **changes})
