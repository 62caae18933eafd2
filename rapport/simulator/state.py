"""What task functions are given: the state of a dialogue as the published simulator's `env.data_models` shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class FeedbackItem:
    """An item that was handed over. It has no name on purpose: an agent must learn from what it sees and gets."""

    id: int
    image: np.ndarray | None
    """The very array that was shown before the turn, uint8 [H, W, 3]."""
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class DialogueFeedback:
    """What the counterpart did in answer to an utterance."""

    selected_item: FeedbackItem | None
    response_waveform: np.ndarray
    """What it said, float32 [S]; a second of zeros with audio off."""


@dataclass(frozen=True)
class DialogueScene:
    """What an agent meets before it speaks."""

    scene_id: int
    prompt_waveform: np.ndarray
    """The counterpart's opening line, float32 [S]; a second of zeros with audio off."""
    images: list[np.ndarray]
    """Of the offered items in the order of the offer, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class EnvironmentState:
    """One state of an episode."""

    dialogue_scene: DialogueScene
    dialogue_feedback: DialogueFeedback | None
    """None after a reset."""
    internal_state: np.ndarray
