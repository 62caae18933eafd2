"""How likely each answer of a closed set is: the prompt is read once, and all answers are read on from its cache together.

    prompts [B, N] -> cache -> taken once for each answer -> answers [C, K] -> log-likelihood [C]

The figures equal those of reading every answer with its prompt by itself (a test). Axes: B batch, N tokens, C answers of all prompts,
K tokens of the longest answer, H width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.models.backends.llm.batches import packed
from rapport.models.backends.llm.past import new_past
from rapport.models.erc.model import ErcModel
from rapport.models.erc.model_config import ScoringConfig


@dataclass(frozen=True, slots=True)
class Choice:
    """A prompt and the answers to choose from."""

    example_id: str
    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The answers to one prompt, weighed."""

    example_id: str
    labels: tuple[str, ...]
    log_likelihoods: tuple[float, ...]
    """Of each, in nats: summed over its tokens, or their mean, as the settings say."""
    probabilities: tuple[float, ...]
    """Of each, given that it is one of them."""
    prompt_tokens: int

    @property
    def label(self) -> str:
        """The likeliest; of equals the first."""
        return self.labels[int(np.argmax(self.log_likelihoods))]


def scored(choice: Choice, sums: Sequence[float], tokens: Sequence[int], prompt_tokens: int, config: ScoringConfig) -> Scored:
    """Likelihoods made comparable: `sums` are log-likelihoods of the answers, `tokens` how many each has."""
    figures = [s / n for s, n in zip(sums, tokens, strict=True)] if config.length_normalised else list(sums)
    # Softmax over the figures of the set, from the highest, so that long answers do not vanish.
    shares = np.exp(np.array(figures, np.float64) - max(figures))
    return Scored(choice.example_id, choice.labels, tuple(figures), tuple((shares / shares.sum()).tolist()), prompt_tokens)


def check_choices(choices: Sequence[Choice]) -> None:
    """Raises RapportError for a prompt without answers, or with one that is empty or there twice."""
    for choice in choices:
        if not choice.labels or not all(choice.labels) or len(set(choice.labels)) < len(choice.labels):
            raise RapportError(f"{choice.example_id} is to be answered by one of {choice.labels}: wanted different answers, none empty")


class ErcScorer:
    """Chooses answers with one model."""

    def __init__(self, model: ErcModel, config: ScoringConfig | None = None) -> None:
        self.model = model.eval()
        self.config = config or ScoringConfig()
        self._collator = model.collator()
        self._size = len(model.tokenizer)

    def score(self, choices: Sequence[Choice]) -> Iterator[Scored]:
        """The weighed answers to each prompt, a batch at a time, in an order of its own. Join them by `example_id`.

        Raises RapportError for a prompt without answers, or with one that is empty or there twice.
        """
        check_choices(choices)
        answers = [self._collator.answer_ids(choice.labels, end=self.config.end) for choice in choices]
        lengths = [len(ids) for ids in self._collator.prompt_ids([choice.text for choice in choices])]
        # The cache of a prompt is there once for each answer.
        most = max((len(c.labels) for c in choices), default=1)
        batches = packed(
            lengths,
            extra=[max(map(len, ids)) for ids in answers],
            batch_tokens=max(1, self.config.batch_tokens // most),
            batch_rows=self.config.batch_rows,
        )
        for batch in batches:
            rows = [choices[i] for i in batch]
            sums = self._sums([row.text for row in rows], [answers[i] for i in batch])
            for index, choice, found in zip(batch, rows, sums, strict=True):
                yield scored(choice, found, [len(ids) for ids in answers[index]], lengths[index], self.config)

    @torch.inference_mode()
    def _sums(self, prompts: Sequence[str], answers: Sequence[Sequence[np.ndarray]]) -> list[list[float]]:
        """Log-likelihood of every answer [K] of every prompt."""
        model = self.model
        batch = {k: v.to(model.device) for k, v in self._collator.prompts(prompts).items()}
        mask, cache = batch["attention_mask"], new_past(model.config)
        last = model.hidden(batch["input_ids"], mask, cache)[:, -1]
        first = self._log_likelihoods(last)  # [B, V] of the first token of an answer
        owner = torch.tensor([row for row, ids in enumerate(answers) for _ in ids], device=model.device)  # [C]
        tokens, real = self._padded([ids for row in answers for ids in row])  # [C, K]
        sums = first[owner, tokens[:, 0]].double()
        if tokens.shape[1] > 1:
            # The last token of an answer has nothing to tell about what comes after.
            cache.batch_select_indices(owner)
            states = model.hidden(tokens[:, :-1], torch.cat([mask[owner], real[:, :-1]], dim=1), cache)
            later = real[:, 1:].bool()
            rows = self._log_likelihoods(states[later])  # [M, V]
            found = rows.gather(1, tokens[:, 1:][later][:, None])[:, 0].double()
            sums = sums.index_add(0, later.nonzero()[:, 0], found)
        flat = iter(sums.tolist())
        return [[next(flat) for _ in ids] for ids in answers]

    def _log_likelihoods(self, states: Tensor) -> Tensor:
        """[..., V] over the tokenizer's vocabulary, of states [..., H]."""
        return self.model.logits(states)[..., : self._size].float().log_softmax(-1)

    def _padded(self, answers: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Ids and mask [C, K], padded on the right."""
        width = max(map(len, answers))
        ids = np.full((len(answers), width), self._collator.pad, np.int64)
        mask = np.zeros((len(answers), width), np.int64)
        for row, answer in enumerate(answers):
            ids[row, : len(answer)], mask[row, : len(answer)] = answer, 1
        device = self.model.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
