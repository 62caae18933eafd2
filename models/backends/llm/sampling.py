"""Tokens chosen from logits: the likeliest, or drawn by a chance that belongs to the example and not to its batch."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers.generation import LogitsProcessorList, TopKLogitsWarper, TopPLogitsWarper

from rapport.models.backends.llm.config import SamplingConfig


class Sampler:
    """Chooses tokens. Axes: B batch, A rows still being written, V vocabulary."""

    def __init__(self, config: SamplingConfig) -> None:
        self.config = config
        # transformers' warpers take the ids so far, which these two do not look at.
        self._warpers = LogitsProcessorList()
        if config.temperature and config.top_k:
            self._warpers.append(TopKLogitsWarper(config.top_k))
        if config.temperature and config.top_p < 1:
            self._warpers.append(TopPLogitsWarper(config.top_p))

    def pick(self, logits: Tensor, chance: Tensor) -> Tensor:
        """[A] the likeliest tokens of logits [A, V], or those at which the summed probabilities pass the chances [A] in 0..1."""
        if not self.config.temperature:
            return logits.argmax(-1)
        ids = torch.empty(len(logits), 0, dtype=torch.int64, device=logits.device)
        probabilities = self._warpers(ids, logits / self.config.temperature).double().softmax(-1)  # type: ignore[arg-type]
        sums = probabilities.cumsum(-1)
        place = torch.searchsorted(sums, chance[:, None] * sums[:, -1:], right=True)[:, 0]
        return place.clamp(max=logits.shape[1] - 1)

    def chances(self, names: Sequence[str], tokens: int) -> Tensor:
        """[B, tokens] float64 in 0..1, a function of the seed and each name alone."""
        if not self.config.temperature:
            return torch.zeros(len(names), tokens)
        seeds = ([self.config.seed, zlib.crc32(name.encode())] for name in names)
        return torch.from_numpy(np.stack([np.random.default_rng(s).random(tokens) for s in seeds]))
