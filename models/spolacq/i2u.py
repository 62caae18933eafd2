"""From what is seen to what is said: a conditional variational autoencoder of unit sequences, given a picture.

    caption -> encoder -> mean over units -> mu [B, Z] -> z = mu + deviation x noise --> W z ┐
    picture feature ----------------------------------------------------------------> v    ├ two tokens of memory
                                                     <start> units ... -> decoder <---------┘ -> next unit

The residual sentence embedding z carries what the picture does not determine: the pattern of the sentence. In acting there is no caption:
feature and z come from the agent. (The image-to-unit model of the ICASSP 2023 agent; its sizes are the defaults of the settings.)

Axes: B rows, L ids of a caption, V vocabulary, D width, F features, Z sentence embedding, H heads.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rapport.models.spolacq.captions import PAD
from rapport.models.spolacq.config import ImageToUnitsConfig


@dataclass(frozen=True)
class Loss:
    """What one batch costs."""

    total: Tensor
    """Mean over captions of the summed cross-entropy and the weighted divergence."""
    cross_entropy: Tensor
    """Sum over all captions, nats."""
    divergence: Tensor
    """Sum over all captions, nats, before its weight."""
    right: Tensor
    """Units, ends included, that were the likeliest."""
    units: Tensor
    """How many there were."""


class ImageToUnits(nn.Module):
    """The network."""

    feature_mean: Tensor
    feature_scale: Tensor
    positions: Tensor

    def __init__(self, config: ImageToUnitsConfig, feature_width: int, vocabulary_size: int) -> None:
        super().__init__()
        self.config, self.feature_width, self.vocabulary_size = config, feature_width, vocabulary_size
        width = config.width
        self.embedding = nn.Embedding(vocabulary_size, width, padding_idx=PAD)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.ModuleList(Layer(config, crosses=False) for _ in range(config.layers))
        self.encoder_norm = nn.LayerNorm(width)
        self.to_sentence = nn.Linear(width, config.sentence_width)
        self.from_sentence = nn.Linear(config.sentence_width, width)
        # A feature as wide as the network is a token of memory as it is, as published.
        self.from_feature = nn.Identity() if feature_width == width else nn.Linear(feature_width, width)
        self.decoder = nn.ModuleList(Layer(config, crosses=True) for _ in range(config.layers))
        self.decoder_norm = nn.LayerNorm(width)
        self.to_vocabulary = nn.Linear(width, vocabulary_size)
        self.register_buffer("feature_mean", torch.zeros(feature_width))
        self.register_buffer("feature_scale", torch.ones(feature_width))
        self.register_buffer("positions", sinusoids(config.max_units + 2, width), persistent=False)

    @torch.no_grad()
    def fit_features(self, features: Tensor) -> None:
        """Standardise features as those [N, F] of the training pictures need it, where the settings say so."""
        if self.config.standardise:
            self.feature_mean.copy_(features.mean(0))
            # What hardly varies in training would be blown up by a picture that differs in it.
            deviation = features.std(0, correction=0)
            self.feature_scale.copy_(1 / (deviation + 0.2 * deviation.mean() + 1e-6))

    def sentence(self, rows: Tensor) -> Tensor:
        """mu [B, Z] of captions [B, L]."""
        known = rows != PAD
        states = self._embed(rows)
        for layer in self.encoder:
            states = layer(states, mask=known[:, None, None, :])
        states = self.encoder_norm(states) * known[..., None]
        mean: Tensor = self.to_sentence(states.sum(1) / known.sum(1, keepdim=True))
        return mean

    def memory(self, features: Tensor, sentences: Tensor) -> Tensor:
        """[B, 2, D] of features [B, F] and sentence embeddings [B, Z]."""
        seen = self.from_feature((features - self.feature_mean) * self.feature_scale)
        return torch.stack([seen, self.from_sentence(sentences)], 1)

    def forward(self, features: Tensor, sentences: Tensor, rows: Tensor) -> Tensor:
        """Scores [B, L, V] of what follows each of the ids [B, L]."""
        memory, states = self.memory(features, sentences), self._embed(rows)
        length = rows.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=rows.device).tril()
        for layer in self.decoder:
            states = layer(states, mask=causal, memory=memory)
        scores: Tensor = self.to_vocabulary(self.decoder_norm(states))
        return scores

    def loss(self, features: Tensor, rows: Tensor, noise: Tensor | None = None) -> Loss:
        """The loss of captions [B, L] of pictures [B, F]; `noise` [B, Z] is standard normal, absent where nothing is to be drawn."""
        rows = rows[:, : int((rows != PAD).sum(1).max())]
        mean = self.sentence(rows)
        drawn = mean if noise is None else mean + self.config.deviation * noise
        scores, targets = self(features, drawn, rows[:, :-1]), rows[:, 1:]
        known = targets != PAD
        cross_entropy = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
        divergence = normal_divergence(mean, self.config.deviation).sum()
        total = (cross_entropy + self.config.kl_weight * divergence) / len(rows)
        return Loss(total, cross_entropy, divergence, ((scores.argmax(-1) == targets) & known).sum(), known.sum())

    def start(self, memory: Tensor) -> list["Kept"]:
        """What the decoder keeps of memory [B, 2, D] before the first unit, layer by layer."""
        return [layer.start(memory) for layer in self._speaking()]

    def step(self, ids: Tensor, place: int, kept: list["Kept"]) -> Tensor:
        """Scores [B, V] of what follows ids [B] at a place from 0; `kept` is changed to hold them too."""
        states = self.embedding(ids)[:, None] + self.positions[place]
        for number, layer in enumerate(self._speaking()):
            states, kept[number] = layer.step(states, kept[number])
        scores: Tensor = self.to_vocabulary(self.decoder_norm(states[:, 0]))
        return scores

    def _speaking(self) -> Iterable["Layer"]:
        return cast("Iterable[Layer]", self.decoder)

    def _embed(self, rows: Tensor) -> Tensor:
        states: Tensor = self.dropout(self.embedding(rows) + self.positions[: rows.shape[1]])
        return states


@dataclass(frozen=True)
class Kept:
    """Keys and values [B, H, *, D / H] of a decoder layer: of the units so far, and of the memory."""

    keys: Tensor
    values: Tensor
    memory_keys: Tensor
    memory_values: Tensor

    def of(self, rows: Tensor) -> "Kept":
        """Of these rows [B'] of the batch."""
        return Kept(self.keys[rows], self.values[rows], self.memory_keys[rows], self.memory_values[rows])


class Layer(nn.Module):
    """A transformer layer that normalises before each part: attention, with `crosses` attention to the memory too, feed-forward."""

    def __init__(self, config: ImageToUnitsConfig, *, crosses: bool) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.memory_norm = nn.LayerNorm(config.width) if crosses else None
        self.memory_attention = Attention(config) if crosses else None
        self.forward_norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.hidden)
        self.contract = nn.Linear(config.hidden, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, states: Tensor, *, mask: Tensor, memory: Tensor | None = None) -> Tensor:
        """States [B, L, D]; `mask` is true where attention may look."""
        inner = self.attention_norm(states)
        states = states + self.dropout(self.attention(inner, *self.attention.keys_and_values(inner), mask))
        if self.memory_attention is not None and self.memory_norm is not None and memory is not None:
            seen = self.memory_attention.keys_and_values(memory)
            states = states + self.dropout(self.memory_attention(self.memory_norm(states), *seen))
        return states + self._feed_forward(states)

    def start(self, memory: Tensor) -> Kept:
        """Before the first unit."""
        assert self.memory_attention is not None
        keys, values = self.memory_attention.keys_and_values(memory)
        return Kept(keys[:, :, :0], values[:, :, :0], keys, values)

    def step(self, states: Tensor, kept: Kept) -> tuple[Tensor, Kept]:
        """The states [B, 1, D] of one more unit."""
        assert self.memory_attention is not None
        assert self.memory_norm is not None
        inner = self.attention_norm(states)
        keys, values = self.attention.keys_and_values(inner)
        kept = Kept(torch.cat([kept.keys, keys], 2), torch.cat([kept.values, values], 2), kept.memory_keys, kept.memory_values)
        states = states + self.attention(inner, kept.keys, kept.values)
        states = states + self.memory_attention(self.memory_norm(states), kept.memory_keys, kept.memory_values)
        return states + self._feed_forward(states), kept

    def _feed_forward(self, states: Tensor) -> Tensor:
        hidden = self.dropout(F.gelu(self.expand(self.forward_norm(states))))
        changed: Tensor = self.dropout(self.contract(hidden))
        return changed


class Attention(nn.Module):
    """Attention of several heads."""

    def __init__(self, config: ImageToUnitsConfig) -> None:
        super().__init__()
        self.heads, self.rate = config.heads, config.dropout
        self.query = nn.Linear(config.width, config.width)
        self.key_value = nn.Linear(config.width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def keys_and_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """[B, H, L, D / H] each, of states [B, L, D]."""
        keys, values = self.key_value(states).chunk(2, -1)
        return self._split(keys), self._split(values)

    def forward(self, states: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """What states [B, L, D] find."""
        rate = self.rate if self.training else 0.0
        found = F.scaled_dot_product_attention(self._split(self.query(states)), keys, values, attn_mask=mask, dropout_p=rate)
        joined: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return joined

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def normal_divergence(mean: Tensor, deviation: float) -> Tensor:
    """[B] the divergence KL(N(mean, deviation² I) || N(0, I)), nats, of means [B, Z]; without noise only what depends on the mean."""
    spread = deviation**2 - 1 - 2 * math.log(deviation) if deviation else 0.0
    return 0.5 * (mean.square() + spread).sum(-1)


def sinusoids(length: int, width: int) -> Tensor:
    """[length, D] sines and cosines of places (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
