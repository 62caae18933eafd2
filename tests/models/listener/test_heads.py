import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.listener.heads import CorrelatedNoise, MotionHead, fit_correlation


def drawn(seed: int, frames: int, correlation: tuple[float, float, float] = (0.0, 0.5, 0.95)) -> np.ndarray:
    noise = CorrelatedNoise(correlation, seed)
    return np.array([noise.draw() for _ in range(frames)])


def test_noise_has_unit_deviation_and_the_correlation_that_was_fitted() -> None:
    noise = drawn(0, 40_000)
    np.testing.assert_allclose(noise.std(0), 1, atol=0.1)
    np.testing.assert_allclose(fit_correlation([noise]), (0, 0.5, 0.95), atol=0.02)
    np.testing.assert_allclose(np.corrcoef(noise.T) - np.eye(3), 0, atol=0.05)


def test_the_same_seed_gives_the_same_noise_and_another_does_not() -> None:
    assert np.array_equal(drawn(3, 50), drawn(3, 50))
    assert not np.array_equal(drawn(3, 50), drawn(4, 50))
    with pytest.raises(RapportError, match="seed is -1"):
        CorrelatedNoise((0, 0, 0), -1)


def test_noise_goes_on_where_it_was() -> None:
    first = CorrelatedNoise((0.9, 0.9, 0.9), 7)
    for _ in range(5):
        first.draw()
    second = CorrelatedNoise((0.9, 0.9, 0.9), 8)
    second.resume(first.values, first.position)
    assert [first.draw() for _ in range(4)] == [second.draw() for _ in range(4)]


def test_correlation_is_safe_for_turns_of_no_frames_and_frozen_ones() -> None:
    assert fit_correlation([]).tolist() == [0, 0, 0]
    assert fit_correlation([np.zeros((0, 3)), np.zeros((9, 3)), np.ones((1, 3))]).tolist() == [0, 0, 0]
    assert fit_correlation([np.ones((50, 3))]).max() < 1


def test_a_head_tells_bounded_deviations_and_leaves_them_out_when_not_wanted() -> None:
    hidden = 1000 * torch.randn(4, 8)
    told = MotionHead(8, gaussian=True)(hidden)
    assert told.log_deviation is not None
    assert told.log_deviation.abs().max() <= 6
    assert MotionHead(8, gaussian=False)(hidden).log_deviation is None
    assert MotionHead(8, gaussian=True)(hidden, False).log_deviation is None
