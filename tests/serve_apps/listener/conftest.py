"""A small model of head motion on disk, random but far from still, and speech-like sound to move it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rapport.core.pose import PoseFrame
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import from_pretrained


@pytest.fixture(scope="session")
def motion_model(listener_model: Path) -> HeadMotionModel:
    return from_pretrained(listener_model)


@pytest.fixture(scope="session")
def pcm(voice: Callable[..., np.ndarray]) -> Callable[..., bytes]:
    """Something voiced as 16-bit samples; another for each seed."""

    def make(seconds: float, seed: int = 0) -> bytes:
        return np.rint(voice(seconds, seed).clip(-1, 1) * 32767).astype("<i2").tobytes()

    return make


def table(frames: list[PoseFrame]) -> np.ndarray:
    """[T, 4] times and angles."""
    return np.array([tuple(frame) for frame in frames]).reshape(-1, 4)
