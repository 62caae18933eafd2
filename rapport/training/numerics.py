"""Randomness, precision, and losses that must be numbers."""

import math
import random

import numpy as np
import torch

from rapport.core.errors import RapportError


def seed_everything(seed: int, device: torch.device) -> None:
    """Every generator that a layer or a library may draw from, so that nothing random carries over from step to step."""
    # torch.manual_seed would also note its caller for devices that are not in use, which takes a millisecond.
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def fast_bf16(on_gpu: bool) -> bool:
    """Whether this computer calculates in bfloat16 rather than emulating it."""
    if on_gpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def finite(value: float, step: int) -> float:
    """`value`, a loss.

    Raises RapportError when it is not a number, so that a ruined training ends at once and never reaches a checkpoint.
    """
    if not math.isfinite(value):
        raise RapportError(f"the loss is {value} after step {step}: lower optim.lr, clip harder (optim.clip_norm) or set precision to fp32")
    return value
