"""What an agent sees and does, as vectors: numbers and picture features in, the choice of a picture and a sentence embedding out.

Axes: B rows, N numbers, P pictures on show, F features of a picture, Z sentence embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.config import AgentEnvConfig
from rapport.simulator.spaces import SpaceError

FEATURE_LIMIT = 10_000.0
"""Bound of the published action's components."""


class AgentActionError(RapportError, ValueError):
    """An action that is not in the agent's action space."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What rows want said."""

    pictures: np.ndarray
    """Which picture each speaks of, int64 [B]."""
    features: np.ndarray
    """Of it, float32 [B, F]."""
    sentences: np.ndarray
    """float32 [B, Z]."""


class Numbers:
    """The numeric parts of an observation space, in one vector: all arrays of at most two axes, in the order of their keys."""

    def __init__(self, space: gym.Space[Any], scale: float) -> None:
        self._paths: list[tuple[str, ...]] = []
        offsets, factors = [], []
        for path, box in _leaves(space, ()):
            if len(box.shape) <= 2:
                self._paths.append(path)
                offset, factor = _normaliser(box, scale)
                offsets.append(offset)
                factors.append(factor)
        self._offset = np.concatenate(offsets) if offsets else np.zeros(0, np.float32)
        self._factor = np.concatenate(factors) if factors else np.zeros(0, np.float32)
        self.width = len(self._offset)

    def read(self, observations: Sequence[Any]) -> np.ndarray:
        """float32 [B, N], within ±1 where the space has bounds."""
        rows = np.empty((len(observations), self.width), np.float32)
        for row, observation in enumerate(observations):
            at = 0
            for path in self._paths:
                part = observation
                for key in path:
                    part = part[key]
                end = at + part.size
                rows[row, at:end] = part.reshape(-1)
                at = end
        return (rows - self._offset) * self._factor


def observation_space(numbers: int, pictures: int, features: int) -> gym.spaces.Box:
    """[numbers | features of picture 1 | … of picture P], float32 [N + P F]."""
    return gym.spaces.Box(-np.inf, np.inf, (numbers + pictures * features,), np.float32)


def action_space(config: AgentEnvConfig, pictures: int, features: int, sentence: int) -> gym.Space[Any]:
    """The space of `config.actions`; see `AgentVectorEnv`."""
    limit = config.sentence_limit
    match config.actions:
        case "factored":
            return gym.spaces.Dict(
                {"image": gym.spaces.Discrete(pictures), "sentence": gym.spaces.Box(-limit, limit, (sentence,), np.float32)}
            )
        case "box":
            return gym.spaces.Box(-1.0, 1.0, (pictures - 1 + sentence,), np.float32)
    return gym.spaces.Box(-FEATURE_LIMIT, FEATURE_LIMIT, (features + sentence,), np.float32)


def read_actions(config: AgentEnvConfig, actions: Any, seen: np.ndarray, sentence: int) -> Choices:
    """The choices in a batch of actions, given the features [B, P, F] of what each row sees.

    A `box` action's first P - 1 numbers are the logits of the pictures after the first, whose own is 0. In a `feature` action the picture
    is the one whose features are nearest. Raises AgentActionError for another shape, or numbers that are not finite.
    """
    rows, pictures, features = seen.shape
    if config.actions == "factored":
        if not isinstance(actions, Mapping):
            raise AgentActionError(f"actions are {type(actions).__name__}: wanted a dictionary with image [B] and sentence [B, Z]")
        chosen = np.asarray(actions["image"], dtype=np.int64).reshape(-1)
        if chosen.shape != (rows,) or chosen.min(initial=0) < 0 or chosen.max(initial=0) >= pictures:
            raise AgentActionError(f"image is {actions['image']!r}: wanted {rows} numbers from 0 to {pictures - 1}")
        sentences = _checked(actions["sentence"], (rows, sentence), "sentence")
    elif config.actions == "box":
        vectors = _checked(actions, (rows, pictures - 1 + sentence), "actions")
        chosen = np.concatenate([np.zeros((rows, 1), np.float32), vectors[:, : pictures - 1]], axis=1).argmax(axis=1)
        sentences = vectors[:, pictures - 1 :] * config.sentence_limit
    else:
        vectors = _checked(actions, (rows, features + sentence), "actions")
        wanted, sentences = vectors[:, :features], vectors[:, features:]
        chosen = np.square(seen - wanted[:, None]).sum(axis=2).argmin(axis=1)
        return Choices(chosen, wanted, np.clip(sentences, -config.sentence_limit, config.sentence_limit))
    return Choices(chosen, seen[np.arange(rows), chosen], np.clip(sentences, -config.sentence_limit, config.sentence_limit))


def _checked(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float32)
    if array.shape != shape:
        raise AgentActionError(f"{name} has shape {array.shape}: wanted {shape}")
    if not np.isfinite(array).all():
        raise AgentActionError(f"{name} holds NaN or infinite numbers: the policy has diverged; lower its learning rate")
    return array


def _leaves(space: gym.Space[Any], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], gym.spaces.Box]]:
    if isinstance(space, gym.spaces.Dict):
        return [leaf for key, part in space.spaces.items() for leaf in _leaves(part, (*path, key))]
    if isinstance(space, gym.spaces.Box):
        return [(path, space)]
    raise SpaceError(
        f"the observation's {'.'.join(path) or 'space'} is {space}: agents read Box and Dict; unset `wrapped`, or mend wrap_task_env"
    )


def _normaliser(box: gym.spaces.Box, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Offset and factor of each number: bounds to ±1, unless they are so wide that they tell nothing."""
    low, high = box.low.reshape(-1).astype(np.float64), box.high.reshape(-1).astype(np.float64)
    bounded = (low > -FEATURE_LIMIT) & (high < FEATURE_LIMIT) & (high > low)
    offset = np.where(bounded, (np.where(bounded, low, 0) + np.where(bounded, high, 0)) / 2, 0.0)
    factor = np.where(bounded, 2 / np.where(bounded, high - low, 1), scale)
    return offset.astype(np.float32), factor.astype(np.float32)
