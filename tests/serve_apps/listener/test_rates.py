import numpy as np
import pytest

from rapport.core.pose import PoseFrame, resample
from rapport.serve_apps.listener.rates import INPUT_RATES_HZ, AudioTo16k, PosesAt
from tests.serve_apps.listener.conftest import table


def tone(rate_hz: int, hz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz).astype(np.float32)


@pytest.mark.parametrize("rate_hz", INPUT_RATES_HZ)
def test_a_tone_stays_where_it_was_on_the_clock(rate_hz: int) -> None:
    resampler = AudioTo16k(rate_hz)
    out = np.concatenate([resampler.push(tone(rate_hz, 440)), resampler.finish()])
    assert len(out) == 16_000
    inside = slice(200, -200)
    assert np.abs(out - tone(16_000, 440))[inside].max() < 2e-3
    assert resampler.latency_s <= 0.0041


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_what_lies_beyond_the_lower_rate_is_gone(rate_hz: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * rate_hz).astype(np.float32)
    out = AudioTo16k(rate_hz).push(noise)
    power = np.abs(np.fft.rfft(out * np.hanning(len(out)))) ** 2
    hz = np.fft.rfftfreq(len(out), 1 / 16_000)
    if rate_hz == 8_000:
        assert power[hz > 4_300].mean() < 1e-6 * power[hz < 3_500].mean()
    alias = AudioTo16k(rate_hz).push(tone(rate_hz, 0.49 * rate_hz))
    if rate_hz > 16_000:
        assert np.abs(alias[200:]).max() < 1e-3


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_any_cutting_gives_the_same_samples(rate_hz: int) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, rate_hz // 4).astype(np.float32)
    whole = AudioTo16k(rate_hz).push(samples)
    for size in (1, 7, 333):
        resampler = AudioTo16k(rate_hz)
        pieces = [resampler.push(samples[i : i + size]) for i in range(0, len(samples), size)]
        assert np.array_equal(np.concatenate(pieces), whole)


def test_a_resampler_goes_on_where_another_was() -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, 9_000).astype(np.float32)
    whole = AudioTo16k(44_100).push(samples)
    first, second = AudioTo16k(44_100), AudioTo16k(44_100)
    head = first.push(samples[:4_001])
    second.resume(first.taken, first.tail)
    assert np.array_equal(np.concatenate([head, second.push(samples[4_001:])]), whole)


def motion(frames: int, rate_hz: float = 30.0) -> list[PoseFrame]:
    angles = np.random.default_rng(3).normal(0, 5, (frames, 3)).cumsum(0)
    return [PoseFrame((k + 1) / rate_hz, *angle) for k, angle in enumerate(angles.tolist())]


def test_at_the_models_own_rate_poses_stay_as_they_are() -> None:
    poses = motion(500)
    assert PosesAt(30).push(poses) == poses


@pytest.mark.parametrize("rate_hz", [25, 29.97, 50, 60])
def test_other_rates_are_interpolated_however_the_poses_come(rate_hz: float) -> None:
    poses = motion(300)
    clock = PosesAt(rate_hz)
    found = table([frame for pose in poses for frame in clock.push([pose])])
    assert len(found) == int(10 * rate_hz + 1e-6)
    known = table(poses)
    assert np.allclose(found[:, 0], (np.arange(len(found)) + 1) / rate_hz)
    assert np.abs(found[:, 1:] - resample(known[:, 0], known[:, 1:], found[:, 0])).max() < 1e-5


def test_of_a_long_gap_nothing_is_made_up() -> None:
    clock = PosesAt(60)
    before = clock.push(motion(30))
    after = clock.push([PoseFrame(1e9 + 1 / 30, 1.0, 2.0, 3.0)])
    assert len(before) == 60
    assert len(after) == 1
    assert after[0][1:] == (1.0, 2.0, 3.0)
