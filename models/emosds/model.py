"""The speech language model: any causal language model whose input also holds units and residuals of speech.

    input_ids [B, N] -> embeddings [B, N, H] --- rows of slots replaced ---> decoder layers -> hidden [B, N, H]
                                                      |                                            | supervised positions only
    residuals [ΣT, D] -> injection -> [ΣG, H] --------+                       loss, hits <- logits [M, V]

Axes: B batch, N tokens, T frames, D residual width, G slots, H width, V vocabulary, M supervised positions.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from rapport.core.errors import RapportError
from rapport.models.backends.llm.decoding import hidden_states
from rapport.models.backends.llm.loss import LmOutput, supervised_loss
from rapport.models.emosds.collate import Collator
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.injection import ProjectedInjection, build_injection
from rapport.models.emosds.lineage import Lineage
from rapport.models.emosds.tokens import Manifest

_NEW = Lineage()


class SpeechLanguageModel(nn.Module):
    """A causal language model that hears."""

    def __init__(self, base: Any, tokenizer: Any, manifest: Manifest, settings: EmosdsConfig, lineage: Lineage = _NEW) -> None:
        super().__init__()
        self.base = base
        found = self.base.get_input_embeddings().num_embeddings
        if found < manifest.size:
            raise RapportError(
                f"the base model has {found} embeddings and its tokenizer {manifest.size} tokens: they do not belong together"
            )
        self.tokenizer = tokenizer
        self.manifest = manifest
        self.settings = settings
        self.lineage = lineage
        self.injection = build_injection(settings.injection, settings.residual_width, base.config.hidden_size)
        # Read by Accelerate to shard layer by layer.
        self._no_split_modules = base._no_split_modules

    @property
    def config(self) -> Any:
        """The base model's own configuration."""
        return self.base.config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.base.device
        return device

    def collator(self) -> Collator:
        """What makes its batches."""
        return Collator(self.tokenizer, self.manifest, self.settings)

    @property
    def wants_scale(self) -> bool:
        """Whether the scale of residuals is yet to be fitted; `tile` has none."""
        return isinstance(self.injection, ProjectedInjection) and not self.injection.scaled

    def fit_scale(self, residuals: Tensor) -> None:
        """Fit the scale of a learned injection to a sample [T, D] of training residuals."""
        if isinstance(self.injection, ProjectedInjection):
            self.injection.fit_scale(residuals)

    def gradient_checkpointing_enable(self) -> None:
        """Trade time for memory: keep no activations inside decoder layers."""
        self.base.gradient_checkpointing_enable({"use_reentrant": False})

    def set_attention(self, kind: str) -> None:
        """How attention is computed: `sdpa`, `eager` or `flash_attention_2`. Not saved with the model."""
        try:
            self.base.set_attn_implementation(kind)
        except ImportError as error:
            raise RapportError(f"attention is {kind!r}, which cannot be had here: {error}. Set it to sdpa") from error

    def embed(self, input_ids: Tensor, residuals: Tensor | None = None, residual_lengths: Tensor | None = None) -> Tensor:
        """[B, N, H] the input rows of ids [B, N]: slots, in order, hold the injected residuals [ΣT, D] of clips of [B] frames.

        Raises RapportError when a row has another number of slots than its residuals take.
        """
        rows: Tensor = self.base.get_input_embeddings()(input_ids)
        slots = input_ids == self.manifest.residual
        found = slots.sum(1)
        if residuals is None or residual_lengths is None:
            wanted = torch.zeros_like(found)
        else:
            if residuals.dim() != 2 or residuals.shape[1] != self.settings.residual_width:
                shape = tuple(residuals.shape)
                raise RapportError(f"residuals have shape {shape}: wanted [ΣT, {self.settings.residual_width}] (residual_width)")
            if int(residual_lengths.sum()) != len(residuals):
                raise RapportError(f"residual_lengths sum to {int(residual_lengths.sum())}, and there are {len(residuals)} residuals")
            wanted = self.injection.slots(residual_lengths)
        if not torch.equal(found, wanted):
            row = int((found != wanted).nonzero()[0])
            raise RapportError(f"row {row} has {int(found[row])} slots for residuals, and its residuals take {int(wanted[row])}")
        if residuals is None or residual_lengths is None:
            if not (self.training and any(weight.requires_grad for weight in self.injection.parameters())):
                return rows
            # Workers add up the gradients of the same weights in every step, also where one of them has a batch without residuals.
            nothing = self.injection(rows.new_zeros(0, self.settings.residual_width), found.new_zeros(1))
            return rows + nothing.sum().to(rows.dtype) * 0
        return rows.masked_scatter(slots[..., None], self.injection(residuals, residual_lengths).to(rows.dtype))

    def hidden(self, rows: Tensor, attention_mask: Tensor, cache: Cache | None = None) -> Tensor:
        """[B, N, H] the last layer's output for input rows [B, N, H]; with a cache, `attention_mask` covers the past as well."""
        return hidden_states(self.base, attention_mask, cache, inputs_embeds=rows)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., V] given [..., H]."""
        output: Tensor = self.base.get_output_embeddings()(hidden)
        return output

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        residuals: Tensor | None = None,
        residual_lengths: Tensor | None = None,
    ) -> LmOutput:
        """Loss and hits over the positions whose label [B, N] is not -100; logits are made for these only.

        Shapes as `Collator` makes them. Labels lie where their token does; each is learned from the position before.
        """
        states = self.hidden(self.embed(input_ids, residuals, residual_lengths), attention_mask)
        return supervised_loss(states, labels, self.logits)
