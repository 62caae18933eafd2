"""Settings of the language model that tells emotions in conversations. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config
from rapport.models.backends.llm.config import EMBEDDED, EmbeddedLlamaConfig, SamplingConfig
from rapport.models.ser.config import LoraConfig


class TokensConfig(Config):
    """How prompts and answers become ids."""

    max_tokens: int = Field(default=1400, ge=16)
    """Longest sequence, prompt and answer together."""
    chat_template: bool = False
    """Put the prompt into the form of a user's message that the tokenizer brings along, for models that were tuned to chat."""
    published: bool = False
    """As the published code does it: the prompt cut on its right at one token less than `max_tokens`, the answer joined without a space
    and cut at `max_tokens`, then EOS, and padding on the left. Otherwise a sequence that is too long is an error."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.published and self.chat_template:
            raise ValueError("published and chat_template are both set: the published code has no chat template, unset one of them")
        return self


class ErcModelConfig(Config):
    """One language model."""

    base: str = "mistralai/Mistral-7B-v0.1"
    """A causal language model by hub id or folder, or `embedded`: a small Llama that learns from nothing."""
    revision: str | None = None
    """Commit of the hub repository; None is its newest."""
    embedded: EmbeddedLlamaConfig = EmbeddedLlamaConfig()
    """Sizes of the embedded one; others do not read them."""
    tokens: TokensConfig = TokensConfig()
    """Prompts and answers as ids."""
    attention: Literal["default", "eager", "sdpa", "flash_attention_2"] = "default"
    """Kernels of attention; `default` is the one that the base model takes by itself."""

    @property
    def is_embedded(self) -> bool:
        """Whether the base is the small Llama that is built here."""
        return self.base == EMBEDDED


class ErcTrainableConfig(Config):
    """Which weights are learned."""

    lora: LoraConfig = LoraConfig(rank=16, alpha=16, dropout=0.05)
    """Low-rank adapters: of the rest, nothing is learned. Rank 0 learns all weights. Without `targets` they go into the projections to
    query, key and value, whatever those are called in the family of the model."""
    embeddings: bool = False
    """Beside adapters, learn the embeddings too; the model is then saved whole, and not as an adapter."""


class ErcGenerationConfig(SamplingConfig):
    """How answers are written."""

    max_new_tokens: int = Field(default=256, ge=1)
    """Longest answer."""
    samples: int = Field(default=1, ge=1)
    """Answers to each prompt; more than one need a temperature above 0 to differ."""
    batch_tokens: int = Field(default=32_768, ge=16)
    """Most tokens of a batch, counted as its rows times the longest prompt and answer."""
    batch_rows: int = Field(default=128, ge=1)
    """Most prompts of a batch."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.samples > 1 and not self.temperature:
            raise ValueError(f"samples is {self.samples} and temperature 0, which gives the same answer every time: raise temperature")
        return self


class ScoringConfig(Config):
    """How answers are chosen from a closed set."""

    length_normalised: bool = False
    """Divide the log-likelihood of an answer by its tokens, so that long answers are not at a disadvantage; by default they are summed,
    which is the probability that the model writes this answer."""
    end: bool = True
    """Count the token that ends the answer, without which `sad` would be as likely as all answers that begin with it."""
    batch_tokens: int = Field(default=32_768, ge=16)
    """Most tokens of a batch, counted as prompts times answers times their longest lengths."""
    batch_rows: int = Field(default=64, ge=1)
    """Most prompts of a batch."""


class EngineConfig(Config):
    """What writes and scores."""

    kind: Literal["transformers", "vllm"] = "transformers"
    """`transformers` runs anywhere; `vllm` needs a GPU and `pip install 'vllm==0.26.*'`, and is the faster for large models."""
    device: str = "auto"
    """A torch device; `auto` takes a GPU where there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the weights; `auto` is bfloat16 on a GPU and float32 elsewhere."""
    memory_share: float = Field(default=0.85, gt=0, le=1)
    """Share of the GPU's memory that vLLM takes."""
    max_context: int = Field(default=2048, ge=16)
    """Longest prompt and answer together that vLLM makes room for, in tokens."""
    max_lora_rank: int = Field(default=64, ge=1)
    """Highest rank of adapters that vLLM makes room for."""


class TfidfConfig(Config):
    """Logistic regression on words."""

    history: int = Field(default=0, ge=0)
    """Lines before the target whose words are features of their own."""
    ngrams: tuple[int, int] = (1, 2)
    """Shortest and longest run of words."""
    min_count: int = Field(default=2, ge=1)
    """Lines that must hold a run of words for it to count."""
    strength: float = Field(default=1.0, gt=0)
    """Inverse of the regularisation."""
    balanced: bool = False
    """Weigh lines so that all labels count alike."""


class EncoderProbeConfig(Config):
    """Logistic regression on the mean states of a language model that stays as it is."""

    source: str = "FacebookAI/roberta-base"
    """A model by hub id or folder."""
    revision: str | None = None
    """Commit of the hub repository; None is its newest."""
    history: int = Field(default=0, ge=0)
    """Lines before the target that are read with it; the mean is taken over the target's tokens only."""
    max_tokens: int = Field(default=256, ge=8)
    """Longest text; its beginning is cut off."""
    batch_tokens: int = Field(default=8192, ge=16)
    """Most tokens of a batch with its padding."""
    strength: float = Field(default=1.0, gt=0)
    """Inverse of the regularisation."""
    balanced: bool = False
    """Weigh lines so that all labels count alike."""
