"""Answers written in batches: prompts of like length together, read once, and rows that have ended leave.

An answer is a function of model, settings and its own prompt and name: not of what is in its batch, nor of the order. Greedy answers equal
those of `transformers.generate` (a test). Axes: B batch, A rows still being written, N tokens, H width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from rapport.models.backends.llm.batches import packed
from rapport.models.backends.llm.decoding import Step, write_tokens
from rapport.models.backends.llm.sampling import Sampler
from rapport.models.erc.model import ErcModel
from rapport.models.erc.model_config import ErcGenerationConfig

_PARTIAL = "\ufffd"
"""What a decoder writes for bytes that are not yet a whole character."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be answered."""

    example_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """One answer."""

    example_id: str
    text: str
    """Without what ends it and without space around."""
    tokens: int
    """How many were written, that which ends it included."""
    finished: bool
    """Whether it ended by itself."""
    prompt_tokens: int
    sample: int = 0
    """Which of several answers to the prompt, from 0."""


class ErcGenerator:
    """Answers prompts with one model."""

    def __init__(self, model: ErcModel, config: ErcGenerationConfig | None = None) -> None:
        self.model = model.eval()
        self.config = config or ErcGenerationConfig()
        self._collator = model.collator()
        self._sampler = Sampler(self.config)
        self._size = len(model.tokenizer)

    def generate(self, prompts: Sequence[Prompt]) -> Iterator[Written]:
        """`samples` answers to each prompt, as they are ready: a batch at a time, in an order of its own. Join them by `example_id`."""
        asked = [(prompt, sample) for prompt in prompts for sample in range(self.config.samples)]
        lengths = [len(ids) for ids in self._collator.prompt_ids([prompt.text for prompt in prompts])]
        lengths = [length for length in lengths for _ in range(self.config.samples)]
        for batch in packed(
            lengths,
            extra=[self.config.max_new_tokens] * len(asked),
            batch_tokens=self.config.batch_tokens,
            batch_rows=self.config.batch_rows,
        ):
            yield from self._answer([asked[i] for i in batch], [lengths[i] for i in batch])

    def stream(self, prompt: Prompt) -> Iterator[str | Written]:
        """One answer in pieces of text as they are written, and as a whole last; closing the iterator stops the work.

        The pieces are the answer with the space that may come before and after it.
        """
        ids: list[int] = []
        sent = 0
        finished = False
        for step in self._steps([(prompt, 0)]):
            if step.tokens[0] in self.model.ends:
                finished = True
                break
            ids.append(step.tokens[0])
            text = self._text(ids)
            if not text.endswith(_PARTIAL) and len(text) > sent:
                yield text[sent:]
                sent = len(text)
        if len(text := self._text(ids)) > sent:
            yield text[sent:]
        length = self._collator.count(prompt.text)
        yield Written(prompt.example_id, text.strip(), len(ids) + finished, finished, length)

    def _answer(self, asked: Sequence[tuple[Prompt, int]], lengths: Sequence[int]) -> list[Written]:
        ids: list[list[int]] = [[] for _ in asked]
        for step in self._steps(asked):
            for row, token in zip(step.rows, step.tokens, strict=True):
                ids[row].append(token)
        answers = []
        for (prompt, sample), row, length in zip(asked, ids, lengths, strict=True):
            finished = row[-1] in self.model.ends
            text = self._text(row[:-1] if finished else row).strip()
            answers.append(Written(prompt.example_id, text, len(row), finished, length, sample))
        return answers

    @torch.inference_mode()
    def _steps(self, asked: Sequence[tuple[Prompt, int]]) -> Iterator[Step]:
        model, limit = self.model, self.config.max_new_tokens
        batch = {k: v.to(model.device) for k, v in self._collator.prompts([prompt.text for prompt, _ in asked]).items()}
        mask = batch["attention_mask"]
        cache = DynamicCache(config=model.config)
        hidden = model.hidden(batch["input_ids"], mask, cache)[:, -1]
        # The first answer to a prompt is drawn by its name alone: it stays the same when more are asked for.
        names = [prompt.example_id + (f"#{sample}" if sample else "") for prompt, sample in asked]
        chance = self._sampler.chances(names, limit).to(model.device)

        def choose(logits: Tensor, rows: list[int], step: int) -> Tensor:
            return self._sampler.pick(logits, chance[rows, step])

        yield from write_tokens(
            model.hidden,
            lambda states: model.logits(states)[:, : self._size].float(),
            choose,
            hidden=hidden,
            mask=mask,
            cache=cache,
            limit=limit,
            ends=model.ends,
        )

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self.model.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text
