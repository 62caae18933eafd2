"""Settings of language models that several systems share. Imports no torch, so that a job's `--help` stays quick."""

from typing import Self

from pydantic import Field, model_validator

from rapport.core.config import Config

EMBEDDED = "embedded"
"""Names the small Llama in place of a hub id."""


class EmbeddedLlamaConfig(Config):
    """The small Llama that is trained from nothing: about 2 M parameters by default."""

    hidden: int = Field(default=192, ge=16)
    """Width of the network; a multiple of `heads`."""
    layers: int = Field(default=4, ge=1)
    """Decoder layers."""
    heads: int = Field(default=4, ge=1)
    """Attention heads."""
    mlp: int = Field(default=512, ge=16)
    """Width inside the feed-forward blocks."""
    vocabulary: int = Field(default=1200, ge=300)
    """Most pieces of text that its tokenizer learns, single bytes included; what a system adds comes on top."""
    max_positions: int = Field(default=4096, ge=64)
    """Longest sequence."""
    tied: bool = True
    """Share the input and output embeddings."""
    initializer_range: float = Field(default=0.06, gt=0, le=1)
    """Standard deviation of the first weights: near 1 / sqrt(hidden). At the 0.02 of large models, a small one learns words far later."""

    look_back: int = Field(default=0, ge=0)
    """Heads of the first layer that begin by looking one, two, three ... tokens back, which a small model else finds out late if at all:
    it is the first half of looking something up by the name that stands before it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden is {self.hidden}: wanted a multiple of twice the {self.heads} heads")
        if self.look_back > self.heads:
            raise ValueError(f"look_back is {self.look_back}: wanted at most the {self.heads} heads")
        return self


class SamplingConfig(Config):
    """How the next token is chosen."""

    temperature: float = Field(default=0.0, ge=0)
    """0 takes the likeliest token; above, tokens are drawn from probabilities sharpened (below 1) or flattened by this."""
    top_k: int = Field(default=0, ge=0)
    """Draw from the likeliest k only; 0 is all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw from the likeliest tokens that together have this probability."""
    seed: int = 0
    """Seed of drawing; with it an example gets the same answer whatever is in its batch."""


class BaseReference(Config):
    """Which language model adapters were made for: enough to refuse another one of the same shape."""

    source: str
    """Hub id or folder that it was loaded from."""
    revision: str | None = None
    """Commit of the hub repository; None where none was named."""
    config: str
    """sha256 of its config.json, without what names a version or a path."""
    vocabulary: str
    """sha256 over its tokenizer's pieces, their ids and the tokens that begin, end and pad."""
    weights: str
    """sha256 over name, shape and first and last row of every weight."""
