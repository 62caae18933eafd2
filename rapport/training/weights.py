"""The part of a model that training changes: what is averaged, kept as the best, and written to checkpoints.

A frozen encoder is left out: it comes back from where it came from, and a checkpoint of a small head stays small.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rapport.core.errors import RapportError

Weights = dict[str, Tensor]


def learned(model: nn.Module) -> Weights:
    """The model's own trainable parameters and saved buffers by name, not copies; a tensor shared by two modules comes once."""
    names = set(model.state_dict(keep_vars=True))
    found: Weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    found.update((name, b) for name, b in model.named_buffers() if name in names)
    return found


def copy_of(weights: Mapping[str, Tensor], device: torch.device | str | None = None) -> Weights:
    """Independent copies, on another device if one is given."""
    return {name: tensor.detach().to(device=device, copy=True) for name, tensor in weights.items()}


@torch.no_grad()
def load_learned(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Overwrite what `learned` gives.

    Raises RapportError naming the weights that differ when they belong to another model.
    """
    own = learned(model)
    differing = sorted(set(own) ^ set(weights)) or sorted(n for n in own if own[n].shape != weights[n].shape)
    if differing:
        raise RapportError(
            f"the saved weights belong to another model: {', '.join(differing[:5])}{' ...' if len(differing) > 5 else ''} "
            "do not match; train under another name, or afresh"
        )
    for name, tensor in own.items():
        tensor.copy_(weights[name])


@contextmanager
def borrowed(model: nn.Module, weights: Mapping[str, Tensor] | None) -> Iterator[None]:
    """The model holds these weights inside the block, and its own again after it; None leaves it as it is."""
    if weights is None:
        yield
        return
    own = copy_of(learned(model))
    load_learned(model, weights)
    try:
        yield
    finally:
        load_learned(model, own)


class RunningMean:
    """Exponential mean of a model's learned weights: noisier early weights are forgotten sooner."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = copy_of(learned(model))
        live = learned(model)
        real = [name for name, tensor in live.items() if tensor.is_floating_point()]
        self._means, self._live = [self.weights[n] for n in real], [live[n] for n in real]
        self._counters = [(self.weights[n], live[n]) for n in live if n not in set(real)]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the model's weights after its `step`-th step, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._means, self._live, 1 - decay)
        for mean, live in self._counters:
            mean.copy_(live)
