"""Low-rank adapters (LoRA) in a pretrained network, kept in PEFT form: adapter_config.json and adapter_model.safetensors."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from rapport.core.errors import RapportError
from rapport.models.ser.config import LoraConfig

_NAME = "default"
_PEFT_PREFIX = "base_model.model."
_WEIGHTS = "adapter_model.safetensors"
_DEFAULT_TARGETS = {"wavlm": ("intermediate_dense", "output_dense")}
# WavLM hands the weights of these layers to one fused function and never calls the layers, so an adapter on them does nothing.
_UNREACHABLE = {"wavlm": {"q_proj", "k_proj", "v_proj", "out_proj"}}


@dataclass(frozen=True)
class Adapters:
    """Adapters in memory, which any model of their shape can be given."""

    config: peft.PeftConfig
    weights: Mapping[str, Tensor]
    source: str
    """Where they were read."""


def is_adapter(name: str) -> bool:
    """Whether a module or parameter of that name belongs to an adapter and not to the pretrained network."""
    return "lora_" in name


def plain_name(name: str) -> str:
    """The name that a pretrained parameter had before its layer was given an adapter."""
    return name.replace(".base_layer.", ".")


def add_adapters(model: PreTrainedModel, config: LoraConfig) -> None:
    """Give layers of the model an adapter that changes nothing until trained.

    Raises RapportError for targets that the model does not have or that adapters cannot reach.
    """
    kind = model.config.model_type
    targets = config.targets or _DEFAULT_TARGETS.get(kind, ("q_proj", "v_proj"))
    unreachable = sorted(_UNREACHABLE.get(kind, set()) & set(targets))
    if unreachable:
        raise RapportError(f"lora.targets {unreachable} would have no effect in {kind}: wanted {', '.join(_DEFAULT_TARGETS[kind])}")
    _inject(
        model,
        peft.LoraConfig(
            r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=list(targets), inference_mode=False
        ),
    )


def has_adapters(model: PreTrainedModel) -> bool:
    """Whether layers of the model were given adapters."""
    return any(is_adapter(name) for name, _ in model.named_parameters())


def merge_adapters(model: PreTrainedModel) -> None:
    """Add what the adapters learned to the layers that they sit on, and take the adapters away."""
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
    drop_adapters(model)


def drop_adapters(model: PreTrainedModel) -> None:
    """Take the adapters away; the layers that they sit on are as they are."""
    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            model.set_submodule(name, module.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False


def save_adapters(model: PreTrainedModel, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
    """Write the adapters in PEFT form; `peft.PeftModel.from_pretrained(base, folder)` reads them too.

    `weights`, by the model's own names, replace the model's: those of a sharded training, put together.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.peft_config[_NAME].save_pretrained(str(folder))
    # Embeddings are saved with the network; PEFT would ask the hub whether they have grown.
    state = peft.get_peft_model_state_dict(model, weights, adapter_name=_NAME, save_embedding_layers=False)
    save_file({_PEFT_PREFIX + k: v.contiguous().cpu() for k, v in state.items()}, folder / _WEIGHTS, metadata={"format": "pt"})


def load_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Give the model the adapters of a folder in PEFT form, ready to train on.

    Raises RapportError when files are missing, or weights are missing, superfluous or of another shape.
    """
    put_adapters(model, read_adapters(folder))


def read_adapters(folder: Path) -> Adapters:
    """The adapters of a folder in PEFT form, on the CPU.

    Raises RapportError when files are missing.
    """
    if not (folder / _WEIGHTS).is_file():
        raise RapportError(f"{folder} holds no {_WEIGHTS}: the model was saved with adapters, copy its whole folder")
    config = peft.PeftConfig.from_pretrained(str(folder))
    config.inference_mode = False
    weights = {k.removeprefix(_PEFT_PREFIX): v for k, v in load_file(folder / _WEIGHTS).items()}
    return Adapters(config, weights, str(folder / _WEIGHTS))


def put_adapters(model: PreTrainedModel, adapters: Adapters) -> None:
    """Give the model these adapters in place of those that it has; where both are of one form, only the weights change.

    Raises RapportError when weights are missing, superfluous or of another shape.
    """
    there = has_adapters(model)
    if there and _form(model.peft_config[_NAME]) != _form(adapters.config):
        drop_adapters(model)
        there = False
    if not there:
        # The network keeps what it is given, and may write to it.
        _inject(model, copy(adapters.config))
    own = peft.get_peft_model_state_dict(model, adapter_name=_NAME, save_embedding_layers=False)
    state = adapters.weights
    if set(own) != set(state):
        raise RapportError(f"{adapters.source} does not fit its configuration: {sorted(set(own) ^ set(state))[:4]} differ")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            shapes = f"{tuple(state[name].shape)} and the model wants {tuple(tensor.shape)}"
            raise RapportError(f"{adapters.source} was made for another model: {name} has shape {shapes}")
    peft.set_peft_model_state_dict(model, dict(state), adapter_name=_NAME)


def _form(config: Any) -> dict[str, object]:
    """What tells two configurations apart that need different layers; where the base lay is none of it."""
    return {k: v for k, v in config.to_dict().items() if k not in ("base_model_name_or_path", "revision", "peft_version")}


def _inject(model: PreTrainedModel, config: peft.PeftConfig) -> None:
    try:
        model.add_adapter(config, adapter_name=_NAME)
    except ValueError as error:
        linear = sorted({n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, nn.Linear)})
        raise RapportError(f"lora.targets: {error}; its linear layers are called {', '.join(linear)}") from error
