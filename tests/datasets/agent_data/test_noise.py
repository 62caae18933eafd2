"""Noise lies at the wanted level below speech in every frame, the last included."""

import numpy as np
import pytest

from rapport.datasets.agent_data.noise import add_noise

RATE_HZ = 22_050
FRAME = RATE_HZ // 50


def speech(samples: int) -> np.ndarray:
    time_s = np.arange(samples) / RATE_HZ
    return np.rint(8_000 * np.sin(2 * np.pi * 220 * time_s) * np.linspace(0.1, 1, samples))


def snr_db(clean: np.ndarray, noisy: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(clean**2) / np.sum((noisy - clean) ** 2)))


@pytest.mark.parametrize("samples", [10 * FRAME, 10 * FRAME + FRAME // 2 + 1, 10 * FRAME + 100, FRAME // 3])
def test_every_frame_has_the_wanted_ratio(samples: int) -> None:
    clean = speech(samples)
    noisy = add_noise(clean, RATE_HZ, 30, np.random.default_rng(0))
    ends = list(range(0, samples, FRAME))
    if samples - ends[-1] < FRAME / 2 and len(ends) > 1:
        ends.pop()
    for start, end in zip(ends, [*ends[1:], samples], strict=True):
        assert snr_db(clean[start:end], noisy[start:end]) == pytest.approx(30, abs=1e-6)


def test_silent_frames_stay_silent() -> None:
    clean = speech(6 * FRAME)
    clean[2 * FRAME : 4 * FRAME] = 0
    noisy = add_noise(clean, RATE_HZ, 10, np.random.default_rng(1))
    assert not noisy[2 * FRAME : 4 * FRAME].any()
    assert (noisy[:FRAME] != clean[:FRAME]).any()


def test_published_tail_has_noise_of_variance_one() -> None:
    clean = speech(400 * FRAME)
    clean[-FRAME:] = 0
    tail = add_noise(clean, RATE_HZ, 30, np.random.default_rng(2), published_tail=True)[-FRAME:]
    assert np.std(tail) == pytest.approx(1, abs=0.15)
    # A short rest belongs to the frame before it, as published too.
    joined = speech(4 * FRAME + 50)
    ours, published = (add_noise(joined, RATE_HZ, 30, np.random.default_rng(3), published_tail=kept) for kept in (False, True))
    np.testing.assert_array_equal(ours, published)


def test_no_speech_no_noise() -> None:
    assert len(add_noise(np.zeros(0), RATE_HZ, 30, np.random.default_rng(0))) == 0
