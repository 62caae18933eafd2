"""Sounds that are no speech."""

import numpy as np
import pytest

from rapport.datasets.synthetic import sounds


@pytest.mark.parametrize("make", [*sounds.NOISES.values(), sounds.music])
@pytest.mark.parametrize("count", [4_000, 64_000])
def test_a_sound_is_as_long_as_asked_and_never_silent(make, count: int) -> None:
    made = make(count, np.random.default_rng(0))
    assert made.shape == (count,)
    assert np.isfinite(made).all()
    assert np.square(made).mean() > 1e-4
    assert np.array_equal(made, make(count, np.random.default_rng(0)))


def test_hum_stands_on_the_harmonics_of_the_mains() -> None:
    power = np.abs(np.fft.rfft(sounds.hum(160_000, np.random.default_rng(1)))) ** 2
    hz = int(power.argmax()) / 10
    assert hz in (50, 60)
