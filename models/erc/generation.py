"""Answers written in batches: prompts of like length together, read once, and rows that have ended leave.

An answer is a function of model, settings and its own prompt and name: not of what is in its batch, nor of the order. Greedy answers equal
those of `transformers.generate` (a test). Axes: B batch, A rows still being written, N tokens, H width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rapport.models.backends.llm.batches import packed
from rapport.models.backends.llm.decoding import Step, write_tokens
from rapport.models.backends.llm.past import new_past
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
        for step in self.stream_batch([prompt]):
            yield from (item for _, item in step)

    def stream_batch(
        self, prompts: Sequence[Prompt], gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, str | Written]]]:
        """The answers of one batch as they are written together: for each token, which prompts have something new and what it is.

        The last of a prompt is its whole answer, at once when it has ended. A prompt of which `gone` says so leaves without one.
        """
        rows = [_Writing(prompt, self._collator.count(prompt.text), self._text) for prompt in prompts]
        for step in self._steps([(prompt, 0) for prompt in prompts], gone) if prompts else ():
            found: list[tuple[int, str | Written]] = []
            for row, token in zip(step.rows, step.tokens, strict=True):
                found += [(row, item) for item in rows[row].take(token, ends=token in self.model.ends)]
            yield found
        left = [row for row, writing in enumerate(rows) if not writing.finished and not (gone and gone(row))]
        yield [(row, item) for row in left for item in rows[row].close()]

    def _answer(self, asked: Sequence[tuple[Prompt, int]], lengths: Sequence[int]) -> list[Written]:
        ids: list[list[int]] = [[] for _ in asked]
        for step in self._steps(asked):
            for row, token in zip(step.rows, step.tokens, strict=True):
                ids[row].append(token)
        answers = []
        for (prompt, sample), written, length in zip(asked, ids, lengths, strict=True):
            finished = written[-1] in self.model.ends
            text = self._text(written[:-1] if finished else written).strip()
            answers.append(Written(prompt.example_id, text, len(written), finished, length, sample))
        return answers

    @torch.inference_mode()
    def _steps(self, asked: Sequence[tuple[Prompt, int]], gone: Callable[[int], bool] | None = None) -> Iterator[Step]:
        model, limit = self.model, self.config.max_new_tokens
        batch = {k: v.to(model.device) for k, v in self._collator.prompts([prompt.text for prompt, _ in asked]).items()}
        mask = batch["attention_mask"]
        cache = new_past(model.config)
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
            gone=gone,
        )

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self.model.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class _Writing:
    """An answer so far, and how much of it was shown."""

    def __init__(self, prompt: Prompt, prompt_tokens: int, decode: Callable[[Sequence[int]], str]) -> None:
        self._prompt, self._prompt_tokens, self._decode = prompt, prompt_tokens, decode
        self._ids: list[int] = []
        self._sent = 0
        self.finished = False

    def take(self, token: int, *, ends: bool) -> Iterator[str | Written]:
        """What a token makes new: a piece of text, or the end."""
        if ends:
            self.finished = True
            yield from self.close()
            return
        self._ids.append(token)
        text = self._decode(self._ids)
        if not text.endswith(_PARTIAL):
            yield from self._new(text)

    def close(self) -> Iterator[str | Written]:
        """What was held back for a character that never became whole, and the whole answer."""
        text = self._decode(self._ids)
        yield from self._new(text)
        tokens = len(self._ids) + self.finished
        yield Written(self._prompt.example_id, text.strip(), tokens, self.finished, self._prompt_tokens)

    def _new(self, text: str) -> Iterator[str]:
        if len(text) > self._sent:
            yield text[self._sent :]
            self._sent = len(text)
