"""Spaces of the environments: any waveform as an action, and observation spaces inferred from one observation."""

from typing import Any

import gymnasium as gym
import numpy as np

from rapport.core.errors import RapportError


class SpaceError(RapportError, ValueError):
    """An observation that no space can be made for, or that is not in the one made."""


class WaveformSpace(gym.Space[np.ndarray]):
    """Speech of any length: finite float32 [S] with S >= 1. Samples are noise of up to a second at 22,050 Hz."""

    _LONGEST_SAMPLE = 22_050

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(None, np.float32, seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: None = None, probability: None = None) -> np.ndarray:
        return self.np_random.uniform(-0.1, 0.1, int(self.np_random.integers(1, self._LONGEST_SAMPLE))).astype(np.float32)

    def contains(self, x: Any) -> bool:
        return isinstance(x, np.ndarray) and x.dtype == np.float32 and x.ndim == 1 and x.size > 0 and bool(np.isfinite(x).all())

    def to_jsonable(self, sample_n: Any) -> list[list[float]]:
        return [np.asarray(sample).tolist() for sample in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[np.ndarray]:
        return [np.asarray(sample, dtype=np.float32) for sample in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WaveformSpace)

    def __repr__(self) -> str:
        return "WaveformSpace()"


def infer_space(value: Any, name: str = "observation") -> gym.Space[Any]:
    """The space of values like this one: arrays, lists, numbers, and dictionaries of these.

    Floats are unbounded, whole numbers bounded by their type; lists count as float32 arrays, single numbers as int32 and float32.
    Raises SpaceError for anything else.
    """
    if isinstance(value, dict):
        return gym.spaces.Dict({key: infer_space(part, f"{name}[{key!r}]") for key, part in value.items()})
    array = as_array(value, name)
    if np.issubdtype(array.dtype, np.integer):
        bounds = np.iinfo(array.dtype)
        return gym.spaces.Box(bounds.min, bounds.max, array.shape, array.dtype.type)
    return gym.spaces.Box(-np.inf, np.inf, array.shape, array.dtype.type)


def as_array(value: Any, name: str = "observation") -> Any:
    """A value as its inferred space holds it; arrays of floats or whole numbers as they are. Raises SpaceError for what none holds."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiu":
            return value
        raise SpaceError(f"{name} is an array of {value.dtype}: wanted floats or whole numbers from observation_function")
    if isinstance(value, dict):
        return {key: as_array(part, f"{name}[{key!r}]") for key, part in value.items()}
    if isinstance(value, np.floating | np.integer):
        return np.asarray(value)
    if isinstance(value, float):
        return np.asarray(value, np.float32)
    if isinstance(value, int) and not isinstance(value, bool):
        return np.asarray(value, np.int32)
    if isinstance(value, list | tuple):
        try:
            return np.asarray(value, np.float32)
        except (ValueError, TypeError) as error:
            raise SpaceError(f"{name} is a list that makes no array ({error}): wanted numbers from observation_function") from error
    raise SpaceError(f"{name} is {type(value).__name__}: wanted an array, a number, or a dictionary of these from observation_function")


def check_fit(space: gym.Space[Any], value: Any, name: str = "observation") -> None:
    """Raises SpaceError if an observation has other keys, shapes or types than its space; values are not looked at."""
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(value, dict) or value.keys() != space.spaces.keys():
            found = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise SpaceError(f"{name} has {found}: wanted the keys of the first one, {sorted(space.spaces)}")
        for key, part in space.spaces.items():
            check_fit(part, value[key], f"{name}[{key!r}]")
    elif isinstance(space, gym.spaces.Box):
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        if shape != space.shape or dtype != space.dtype:
            raise SpaceError(
                f"{name} is {dtype} {shape}: wanted {space.dtype} {space.shape} as at first; "
                "give every scene the same shape in observation_function, or set the simulator's height and width to that of its blank"
            )
