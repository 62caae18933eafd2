"""Observation spaces are inferred as published, and observations that leave them are refused."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rapport.simulator.spaces import SpaceError, WaveformSpace, as_array, check_fit, infer_space


@pytest.mark.parametrize(
    ("value", "space"),
    [
        (np.zeros((2, 3), np.float64), gym.spaces.Box(-np.inf, np.inf, (2, 3), np.float64)),
        (np.zeros((4, 4, 3), np.uint8), gym.spaces.Box(0, 255, (4, 4, 3), np.uint8)),
        ([1.0, 2.0], gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)),
        (3, gym.spaces.Box(-(2**31), 2**31 - 1, (), np.int32)),
        (0.5, gym.spaces.Box(-np.inf, np.inf, (), np.float32)),
        ({"a": 1, "b": {"c": [0.0]}}, gym.spaces.Dict({"a": infer_space(1), "b": gym.spaces.Dict({"c": infer_space([0.0])})})),
    ],
)
def test_a_space_is_inferred_that_holds_the_value(value: Any, space: gym.Space) -> None:
    assert infer_space(value) == space
    assert space.contains(as_array(value))


@pytest.mark.parametrize("value", ["text", None, True, np.array(["a"]), np.array([True]), [[1.0], [1.0, 2.0]], {"a": object()}])
def test_what_no_space_holds_is_refused(value: Any) -> None:
    with pytest.raises(SpaceError, match="observation"):
        infer_space(value)


@pytest.mark.parametrize(
    "value", [{"a": np.zeros(2, np.float32)}, {"a": np.zeros(3)}, {}, {"a": np.zeros(3, np.float32), "b": 1}, np.zeros(3, np.float32)]
)
def test_an_observation_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(SpaceError, match="wanted"):
        check_fit(infer_space({"a": np.zeros(3, np.float32)}), value)


def test_waveforms_are_float32_of_any_length() -> None:
    space = WaveformSpace(seed=3)
    assert all(space.sample() in space for _ in range(20))
    assert np.zeros(1, np.float32) in space
    for bad in (np.zeros(0, np.float32), np.zeros(3), np.zeros((2, 2), np.float32), np.full(3, np.nan, np.float32), [0.0], "hello"):
        assert bad not in space
    assert space == WaveformSpace()
    sample = space.sample()
    assert np.array_equal(space.from_jsonable(space.to_jsonable([sample]))[0], sample)
