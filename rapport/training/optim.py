"""AdamW, with one rate or with separate ones for encoder and head, and its state by parameter name."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.training.config import AdamWConfig, OptimConfig
from rapport.training.schedules import Rate


def build_optimizer(model: SpeechEmotionClassifier, config: OptimConfig) -> torch.optim.AdamW:
    """An optimiser of the trainable parameters, in up to four groups: `encoder` (pretrained) and `head` (the rest), with and without decay.

    Vectors and scalars (norms, biases) are not decayed. Raises RapportError when nothing trains.
    """
    groups: dict[tuple[str, bool], list[tuple[str, nn.Parameter]]] = {}
    for origin, members in model.parameter_groups().items():
        for name, parameter in members:
            if parameter.requires_grad:
                part = "encoder" if origin == "encoder" else "head"
                groups.setdefault((part, parameter.ndim >= 2), []).append((name, parameter))
    if not groups:
        raise RapportError("no parameter of the model trains: unfreeze the encoder, or give the head a layer")
    peaks = {"encoder": config.encoder_lr or config.lr, "head": config.lr}
    return torch.optim.AdamW(
        [
            {
                "params": [p for _, p in members],
                "names": [n for n, _ in members],
                "part": part,
                "peak_lr": peaks[part],
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (part, decays), members in sorted(groups.items())
        ],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


def learned_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that train, by name; one that two modules share comes once."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def adamw(model: nn.Module, config: AdamWConfig) -> torch.optim.AdamW:
    """An optimiser of all that trains, as one part called `model`, in two groups: what decays, and vectors and scalars, which do not."""
    groups: dict[bool, list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in learned_parameters(model):
        groups.setdefault(parameter.ndim >= 2, []).append((name, parameter))
    return torch.optim.AdamW(
        [
            {
                "params": [p for _, p in members],
                "names": [n for n, _ in members],
                "part": "model",
                "peak_lr": config.lr,
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for decays, members in sorted(groups.items())
        ],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: Rate) -> None:
    """Use the rate in the next step."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * rate.factor
        if rate.momentum is not None:
            group["betas"] = (rate.momentum, group["betas"][1])


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The current rate of each part that trains: `encoder` and `head`, or `model`."""
    return {group["part"]: group["lr"] for group in optimizer.param_groups}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's running means as `<parameter>/<quantity>`; empty before the first step."""
    names = [name for group in optimizer.param_groups for name in group["names"]]
    state = optimizer.state_dict()["state"]
    return {f"{names[index]}/{quantity}": tensor for index, kept in state.items() for quantity, tensor in kept.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give the optimiser back what `optimizer_tensors` gave.

    Raises RapportError when they belong to other parameters.
    """
    place = {name: index for index, name in enumerate(name for group in optimizer.param_groups for name in group["names"])}
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, quantity = key.rpartition("/")
        if name not in place:
            raise RapportError(f"the checkpoint has optimiser state of {name}, which does not train in this model")
        state.setdefault(place[name], {})[quantity] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
