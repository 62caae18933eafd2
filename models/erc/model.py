"""The language model that tells emotions in conversations: a causal language model, with or without adapters, that learns from text.

    input_ids [B, N] -> decoder layers -> hidden [B, N, H] -> logits [M, V] of the supervised positions only -> loss, hits

Axes: B batch, N tokens, H width, V vocabulary, M supervised positions.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from rapport.core.errors import RapportError
from rapport.models.adapters import add_adapters, has_adapters, is_adapter, merge_adapters
from rapport.models.backends.llm.config import BaseReference
from rapport.models.backends.llm.decoding import hidden_states
from rapport.models.backends.llm.loss import LmOutput, supervised_loss
from rapport.models.backends.llm.padding import ensure_pad
from rapport.models.erc.collate import ErcCollator
from rapport.models.erc.model_config import ErcModelConfig, ErcTrainableConfig

_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "query_key_value", "qkv_proj", "Wqkv", "wqkv", "W_pack", "c_attn")
"""Query, key and value in the families of language models; the published list, and two more names."""


class ErcModel(nn.Module):
    """A causal language model with its tokenizer."""

    def __init__(self, base: Any, tokenizer: Any, settings: ErcModelConfig, reference: BaseReference | None = None) -> None:
        """`reference` says which published or saved model `base` is; None where it is no longer, or never was, one of those."""
        super().__init__()
        pad = ensure_pad(tokenizer)
        if base.get_input_embeddings().num_embeddings < len(tokenizer):
            # Mean resizing would draw from a normal distribution in all dimensions, which takes minutes at 128 k x 4096. Only the row of
            # the padding is new, which is never read.
            base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        base.config.pad_token_id = pad
        self.base = base
        self.tokenizer = tokenizer
        self.settings = settings
        self.reference = reference
        # Read by Accelerate to shard layer by layer.
        self._no_split_modules = base._no_split_modules
        if settings.attention != "default":
            self.set_attention(settings.attention)

    @property
    def config(self) -> Any:
        """The base model's own configuration."""
        return self.base.config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.base.device
        return device

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer: the tokenizer's, and those that the base model names for itself."""
        generation = self.base.generation_config
        named = generation.eos_token_id if generation is not None else None
        more = named if isinstance(named, list) else [] if named is None else [named]
        return frozenset({int(self.tokenizer.eos_token_id), *map(int, more)})

    def collator(self) -> ErcCollator:
        """What makes its batches."""
        return ErcCollator(self.tokenizer, self.settings.tokens)

    def set_attention(self, kind: str) -> None:
        """Change the kernels of attention: `eager`, `sdpa` or `flash_attention_2`.

        Raises RapportError when the model or this computer does not have them.
        """
        try:
            self.base.set_attn_implementation(kind)
        except (ImportError, ValueError) as error:
            raise RapportError(f"attention {kind!r} cannot be used here: {error}") from error
        if self.base.config._attn_implementation != kind:
            raise RapportError(f"a {self.config.model_type} model cannot change its attention to {kind!r}: set attention to default")

    def gradient_checkpointing_enable(self) -> None:
        """Trade time for memory: keep no activations inside decoder layers."""
        self.base.gradient_checkpointing_enable({"use_reentrant": False})

    def hidden(self, input_ids: Tensor, attention_mask: Tensor, cache: Cache | None = None) -> Tensor:
        """[B, N, H] the last layer's output for ids [B, N]; with a cache, `attention_mask` covers the past as well."""
        return hidden_states(self.base, attention_mask, cache, input_ids=input_ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., V] given [..., H]."""
        output: Tensor = self.base.get_output_embeddings()(hidden)
        return output

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> LmOutput:
        """Loss and hits over the positions whose label [B, N] is not -100. Shapes as `ErcCollator` makes them."""
        return supervised_loss(self.hidden(input_ids, attention_mask), labels, self.logits)


@dataclass(frozen=True)
class TrainableReport:
    """How many numbers are learned, and where."""

    total: int
    trained: int
    parts: dict[str, int] = field(default_factory=dict)
    """Trained numbers of `adapters`, `embeddings` and `layers`; parts without any are left out."""

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {count:,}" for name, count in self.parts.items())
        return f"{self.trained:,} of {self.total:,} parameters train ({100 * self.trained / self.total:.1f} %): {parts}"


def apply_trainable(model: ErcModel, config: ErcTrainableConfig, seed: int = 0) -> TrainableReport:
    """Freeze everything but what is learned; adapters are put in when asked for and absent, and merged when not asked for and there.

    Call it before a distributed wrapper looks at the parameters. A model whose own weights are learned is no longer the one that its
    reference names, and forgets it. Raises RapportError for adapters of another rank, or targets that the model does not have.
    """
    base = model.base
    if config.lora.rank and not has_adapters(base):
        lora = config.lora if config.lora.targets else config.lora.model_copy(update={"targets": _projections(base)})
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            add_adapters(base, lora)
    elif config.lora.rank:
        found = base.peft_config["default"].r
        if found != config.lora.rank:
            raise RapportError(
                f"lora.rank is {config.lora.rank}, and the model before has adapters of rank {found}: keep it, or merge with 0"
            )
    elif has_adapters(base):
        merge_adapters(base)
    matrices = {id(m.weight) for m in (base.get_input_embeddings(), base.get_output_embeddings())}
    parts: dict[str, int] = {}
    for name, parameter in base.named_parameters():
        part = "adapters" if is_adapter(name) else "embeddings" if id(parameter) in matrices else "layers"
        learned = not config.lora.rank or part == "adapters" or (part == "embeddings" and config.embeddings)
        parameter.requires_grad_(learned)
        if learned:
            parts[part] = parts.get(part, 0) + parameter.numel()
    if set(parts) - {"adapters"}:
        model.reference = None
    return TrainableReport(sum(p.numel() for p in base.parameters()), sum(parts.values()), parts)


def _projections(base: nn.Module) -> tuple[str, ...]:
    """The linear layers of this model that make queries, keys and values."""
    found = {name.rsplit(".", 1)[-1] for name, _ in base.named_modules()}
    chosen = tuple(name for name in _PROJECTIONS if name in found)
    if not chosen:
        linear = sorted({n.rsplit(".", 1)[-1] for n, m in base.named_modules() if isinstance(m, nn.Linear)})
        raise RapportError(f"lora.targets is empty, and no projection of attention was found: name some of {', '.join(linear)}")
    return chosen
