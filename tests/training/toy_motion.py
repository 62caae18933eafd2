"""Turns whose motion is planted: a number is heard, and after some frames the head follows it."""

from typing import Any

import numpy as np
import torch

from rapport.models.listener.config import ListenerConfig
from rapport.models.listener.model import HeadMotionModel
from rapport.training.motion import MotionData
from rapport.training.motion_config import MotionConfig
from rapport.training.motion_turns import Turns

RATE_HZ = 30
LAGS = (6, 3, 9)
"""Frames after which roll, pitch and yaw follow."""
WIDTH = 32


def planted_turns(count: int, seed: int = 0, longest: int = 200) -> Turns:
    """Turns of 40 frames and more, of listeners who hold their heads anywhere and move them a little by themselves."""
    made = {f"turn-{index}": _turn(np.random.default_rng([seed, index]), longest) for index in range(count)}
    return Turns(list(made), np.array([len(features) for features, _ in made.values()]), made.__getitem__)


def planted_data() -> MotionData:
    return MotionData(planted_turns(24), planted_turns(8, seed=1))


def toy_model(seed: int = 0, **changes: Any) -> HeadMotionModel:
    values = {"network": {"tcn": {"width": 16, "dilations": (1, 2, 4, 8), "dropout": 0.1}}, **changes}
    torch.manual_seed(seed)
    return HeadMotionModel(ListenerConfig.model_validate(values), width=WIDTH, front_end_identity={"kind": "planted"})


def toy_config(**changes: Any) -> MotionConfig:
    values = {"epochs": 3, "batch_size": 4, "crop_s": 3, "warmup_s": 1, "optim": {"lr": 0.01}, "ema_decay": 0.8}
    return MotionConfig.model_validate({**values, **changes})


def _turn(random: np.random.Generator, longest: int) -> tuple[np.ndarray, np.ndarray]:
    frames = int(random.integers(40, longest))
    smooth = np.hanning(15) / np.hanning(15).sum()
    heard = 3 * np.convolve(random.normal(0, 1, frames + 14 + max(LAGS)), smooth, "valid")
    features = random.normal(0, 1, (frames, WIDTH)).astype(np.float32)
    features[:, 0] = heard[max(LAGS) :]
    followed = [heard[max(LAGS) - lag :][:frames] for lag in LAGS]
    degrees = 4 * np.column_stack(followed) + random.normal(0, 20, 3) + random.normal(0, 0.3, (frames, 3))
    return features, degrees.astype(np.float32)
