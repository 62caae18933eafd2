"""Which weights of a speech language model a stage trains."""

from dataclasses import dataclass, field

import torch
from torch import nn

from rapport.core.errors import RapportError
from rapport.models.adapters import add_adapters, has_adapters, is_adapter, merge_adapters
from rapport.models.emosds.config import TrainableConfig
from rapport.models.emosds.model import SpeechLanguageModel


@dataclass(frozen=True)
class TrainableReport:
    """How many numbers are learned, and where."""

    total: int
    trained: int
    parts: dict[str, int] = field(default_factory=dict)
    """Trained numbers of `embeddings`, `layers`, `norm`, `adapters` and `injection`; parts without any are left out."""

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {count:,}" for name, count in self.parts.items())
        return f"{self.trained:,} of {self.total:,} parameters train ({100 * self.trained / self.total:.1f} %): {parts}"


def apply_trainable(model: SpeechLanguageModel, config: TrainableConfig, stage: int = 3, seed: int = 0) -> TrainableReport:
    """Freeze everything but what the stage trains; adapters are put in when asked for, else those that are there are merged.

    Call it before a distributed wrapper looks at the parameters. The injection trains in stages that hear residuals, for a wrapper
    would wait for gradients that never come. Raises RapportError for layers that the model does not have.
    """
    base = model.base
    if config.lora.rank and not has_adapters(base):
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            add_adapters(base, config.lora)
    elif not config.lora.rank and has_adapters(base):
        merge_adapters(base)
    elif config.lora.rank:
        found = base.peft_config["default"].r
        if found != config.lora.rank:
            raise RapportError(
                f"lora.rank is {config.lora.rank}, and the model before has adapters of rank {found}: keep it, or merge with 0"
            )
    layers = decoder_layers(model)
    model.requires_grad_(False)
    if config.lora.rank:
        for name, parameter in base.named_parameters():
            parameter.requires_grad_(is_adapter(name))
    elif config.layers == "all":
        base.requires_grad_(True)
    else:
        beyond = [n for n in config.layers if not 0 <= n < len(layers)]
        if beyond:
            raise RapportError(f"layers names {beyond}, and the model has {len(layers)}, counted from 0")
        for n in config.layers:
            layers[n].requires_grad_(True)
    for matrix in (base.get_input_embeddings(), base.get_output_embeddings()):
        matrix.requires_grad_(config.embeddings)
    model.injection.requires_grad_(model.settings.hears_residuals(stage))
    return _report(model, layers)


def decoder_layers(model: SpeechLanguageModel) -> nn.ModuleList:
    """The decoder layers of the base model, first to last.

    Raises RapportError when the base keeps them in a way that is not known.
    """
    count = model.config.get_text_config().num_hidden_layers
    for child in model.base.base_model.children():
        if isinstance(child, nn.ModuleList) and len(child) == count:
            return child
    raise RapportError(f"the decoder layers of a {model.config.model_type} model are not where they were looked for: set layers to all")


def _report(model: SpeechLanguageModel, layers: nn.ModuleList) -> TrainableReport:
    embeddings = {id(m.weight) for m in (model.base.get_input_embeddings(), model.base.get_output_embeddings())}
    inside = {id(p) for p in layers.parameters()}
    parts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            if name.startswith("injection."):
                part = "injection"
            elif is_adapter(name):
                part = "adapters"
            elif id(parameter) in embeddings:
                part = "embeddings"
            else:
                part = "layers" if id(parameter) in inside else "norm"
            parts[part] = parts.get(part, 0) + parameter.numel()
    return TrainableReport(sum(p.numel() for p in model.parameters()), sum(parts.values()), parts)
