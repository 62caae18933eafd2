"""Prompts and answers to token ids: tokenised apart, so that the boundary between them is exact.

    BOS  prompt                      |  target  EOS
    ---------- labels -100 ---------    ids     ids

Prompts are padded on the left, so that all rows of a batch go on from the same column. What is learned from is padded on the right, where
causal attention needs no mask (the published code pads on the left, which gives the same loss). Axes: B batch, N tokens with padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.models.backends.llm.loss import IGNORED
from rapport.models.erc.model_config import TokensConfig

Ids = npt.NDArray[np.int64]
_PLACE = "\ue000"
"""Stands for the prompt in a chat template: a private character that no template strips."""


@dataclass(frozen=True)
class EncodedText:
    """One example as ids."""

    prompt: Ids
    target: Ids
    """The answer and EOS; empty in a prompt."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


class ErcCollator:
    """Makes batches for `ErcModel`. It holds no tensors and may be copied to other processes."""

    def __init__(self, tokenizer: Any, config: TokensConfig) -> None:
        """Raises RapportError for a tokenizer that ends nothing, or has no chat template where one is asked for."""
        if tokenizer.eos_token_id is None:
            raise RapportError("the tokenizer of the base model has no token that ends a text: wanted one with eos_token")
        self.config = config
        self.eos, self.pad = int(tokenizer.eos_token_id), int(tokenizer.pad_token_id)
        self._tokenizer = tokenizer
        self._before, self._after = self._frame()
        self._lead = "" if config.published or config.chat_template else self._boundary()

    def __call__(self, examples: Sequence[ErcExample]) -> dict[str, Tensor]:
        """A batch to learn from: `input_ids`, `attention_mask`, `labels` int64 [B, N]."""
        return self.batch(self.encode(examples), "left" if self.config.published else "right")

    def prompts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Prompts to be answered: `input_ids`, `attention_mask` int64 [B, N], padded on the left."""
        batch = self.batch([EncodedText(ids, np.zeros(0, np.int64)) for ids in self.prompt_ids(texts)], "left")
        del batch["labels"]
        return batch

    def encode(self, examples: Sequence[ErcExample]) -> list[EncodedText]:
        """Examples as ids.

        Raises RapportError for one that has more than `max_tokens` tokens, unless they are cut as the published code does.
        """
        prompts = self._prompts([e.input for e in examples])
        targets = self._answers([e.target for e in examples])
        rows = []
        for example, prompt, target in zip(examples, prompts, targets, strict=True):
            room = self.config.max_tokens
            if self.config.published:
                prompt = prompt[: room - 1]
                target = np.append(target[: room - len(prompt)], self.eos)
            else:
                target = np.append(target, self.eos)
                self._check(example.example_id, len(prompt), len(target))
            rows.append(EncodedText(prompt, target))
        return rows

    def prompt_ids(self, texts: Sequence[str]) -> list[Ids]:
        """Prompts as ids, BOS included; cut on the right at `max_tokens` in the published way, and else never."""
        found = self._prompts(texts)
        return [ids[: self.config.max_tokens] for ids in found] if self.config.published else found

    def answer_ids(self, texts: Sequence[str], *, end: bool = True) -> list[Ids]:
        """Answers as the ids that are learned, with EOS where `end` says so."""
        return [np.append(ids, self.eos) if end else ids for ids in self._answers(texts)]

    def lengths(self, examples: Sequence[ErcExample]) -> Ids:
        """[B] how many tokens `encode` gives, without building or refusing anything."""
        prompts = self._prompts([e.input for e in examples])
        targets = self._answers([e.target for e in examples])
        room = self.config.max_tokens
        if self.config.published:
            read = [min(len(p), room - 1) for p in prompts]
            return np.array([p + min(len(t), room - p) + 1 for p, t in zip(read, targets, strict=True)], np.int64)
        return np.array([len(p) + len(t) + 1 for p, t in zip(prompts, targets, strict=True)], np.int64)

    def count(self, text: str) -> int:
        """Tokens of a prompt as the model reads it, BOS and chat template included: what truncation counts with."""
        return len(self._prompts([text])[0])

    def count_answer(self, text: str) -> int:
        """Tokens of an answer with the EOS that ends it."""
        return len(self._answers([text])[0]) + 1

    def batch(self, rows: Sequence[EncodedText], pad: Literal["left", "right"] = "right") -> dict[str, Tensor]:
        """The rows as tensors, padded on one side."""
        width = max(map(len, rows))
        ids = np.full((len(rows), width), self.pad, np.int64)
        labels = np.full((len(rows), width), IGNORED, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for row, encoded in enumerate(rows):
            start = width - len(encoded) if pad == "left" else 0
            answer, end = start + len(encoded.prompt), start + len(encoded)
            ids[row, start:answer], ids[row, answer:end] = encoded.prompt, encoded.target
            labels[row, answer:end] = encoded.target
            mask[row, start:end] = 1
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), "labels": torch.from_numpy(labels)}

    def decode(self, ids: Sequence[int]) -> str:
        """Written ids as text, without what begins, ends and pads and without space around."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()

    def _check(self, name: str, prompt: int, target: int) -> None:
        if prompt + target > self.config.max_tokens:
            raise RapportError(
                f"example {name} has {prompt + target} tokens, {prompt} of the prompt, and tokens.max_tokens is {self.config.max_tokens}: "
                "raise it, or build the prompts for fewer tokens"
            )

    def _prompts(self, texts: Sequence[str]) -> list[Ids]:
        return [np.concatenate([self._before, ids, self._after]) for ids in self._ids(texts)]

    def _answers(self, texts: Sequence[str]) -> list[Ids]:
        return self._ids([self._lead + text for text in texts])

    def _ids(self, texts: Sequence[str], *, special: bool = False) -> list[Ids]:
        """Text as ids; what looks like a special token in somebody's words is words, unless it is ours."""
        if not texts:
            return []
        found = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        return [np.array(ids, np.int64) for ids in found]

    def _frame(self) -> tuple[Ids, Ids]:
        """What comes before and after every prompt."""
        if not self.config.chat_template:
            bos = self._tokenizer.bos_token_id
            return np.array([] if bos is None else [bos], np.int64), np.zeros(0, np.int64)
        if not self._tokenizer.chat_template:
            raise RapportError("the tokenizer of the base model has no chat template: set tokens.chat_template to false")
        messages = [{"role": "user", "content": _PLACE}]
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        before, found, after = text.partition(_PLACE)
        if not found:
            raise RapportError("the chat template of the base model leaves the message out: set tokens.chat_template to false")
        first, last = self._ids([before, after], special=True)
        return first, last

    def _boundary(self) -> str:
        """What to put before an answer, so that prompt and answer tokenised apart give the ids of both written with a space between."""
        whole, head = self._ids(["ANSWER: sad", "ANSWER:"])
        answers = (("", self._ids(["sad"])[0]), (" ", self._ids([" sad"])[0]))
        return next((lead for lead, ids in answers if np.array_equal(whole, np.concatenate([head, ids]))), "")


class ErcData:
    """Examples as the training loop reads them (`rapport.training.sft.TokenData`): tokenised once, and as many as there were then.

    Make a new one for every round of self-training: nothing in it changes.
    """

    def __init__(self, examples: Sequence[ErcExample], collator: ErcCollator) -> None:
        """Raises RapportError for an example that is too long."""
        self.collator = collator
        self.example_ids = tuple(e.example_id for e in examples)
        self._rows = [EncodedText(row.prompt.astype(np.int32), row.target.astype(np.int32)) for row in collator.encode(examples)]
        self.lengths: Ids = np.array([len(row) for row in self._rows], np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        """The model's arguments for these examples."""
        return self.collator.batch([self._rows[i] for i in indices], "left" if self.collator.config.published else "right")
