"""Speech-like sound, and small models whose weights have gone as far from their start as training takes them."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rapport.models.listener.config import ListenerConfig
from rapport.models.listener.model import HeadMotionModel

SMALL: dict[str, Any] = {"tcn": {"width": 16, "dilations": (1, 2, 4)}, "lstm_linear": {"width": 16}}


def speech(seconds: float, seed: int = 0) -> npt.NDArray[np.float32]:
    """[S] a buzzing voice that glides and pauses, over noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(16_000 * seconds)) / 16_000
    f0_hz = 130 * 2 ** (0.4 * np.sin(2 * np.pi * 0.6 * time_s + seed))
    phase = 2 * np.pi * np.cumsum(f0_hz) / 16_000
    voice = sum(np.cos(harmonic * phase) / harmonic for harmonic in range(1, 15))
    loud = np.sin(2 * np.pi * 0.7 * time_s + seed) > -0.4
    return (0.05 * voice * loud + 0.002 * rng.normal(size=len(time_s))).astype(np.float32)


def make_model(kind: str = "tcn", *, ahead: int = 0, dtype: torch.dtype = torch.float64, **settings: Any) -> HeadMotionModel:
    """A small model of random weights that moves by several degrees, in evaluation mode."""
    small = {**SMALL, "tcn": {**SMALL["tcn"], "look_ahead_frames": ahead}}
    torch.manual_seed(5)
    model = HeadMotionModel(ListenerConfig.model_validate({"network": {"kind": kind, **small}, **settings}))
    rng = np.random.default_rng(0)
    features = model.front_end.features(speech(4.0, seed=9))
    model.fit_normalisation([(features, rng.normal(2, 8, (len(features), 3)))])
    model.fit_noise([np.cumsum(rng.normal(size=(200, 3)), axis=0)])
    if model.head is not None:
        with torch.no_grad():
            model.head.output.weight.mul_(3)
    return model.to(dtype).eval()
