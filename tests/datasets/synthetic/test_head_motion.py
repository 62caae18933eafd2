import numpy as np
import pytest

from rapport.core.pose import ROTATIONS
from rapport.datasets.synthetic import head_motion
from rapport.datasets.synthetic.head_motion import GAINS, LAGS_S, MOTION_RATE_HZ, WIDTHS_S, follow, listening, wandering


def tone(seconds: float, hz: float, level: float = 0.3) -> np.ndarray:
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    wave = sum(np.sin(2 * np.pi * k * hz * time_s) / k for k in range(1, 8))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * 16_000), np.float32)


def test_silence_moves_nothing_and_a_clip_of_no_length_gives_no_rows() -> None:
    assert not listening(silence(1)).any()
    assert len(listening(silence(1))) == MOTION_RATE_HZ
    assert listening(silence(0)).shape == (0, 3)
    noise = np.random.default_rng(0).normal(0, 10 ** (-60 / 20), 16_000)
    assert not listening(noise).any()


def test_each_angle_follows_its_signal_at_its_lag() -> None:
    impulse = np.zeros((4 * MOTION_RATE_HZ, 3))
    impulse[MOTION_RATE_HZ] = 1
    degrees = follow(impulse)
    rows = np.arange(len(degrees))
    for i, angle in enumerate(ROTATIONS):
        share = degrees[:, i] / GAINS[angle]
        assert share.sum() == pytest.approx(1)
        assert (rows * share).sum() / MOTION_RATE_HZ - 1 == pytest.approx(LAGS_S[angle], abs=1e-6)
        assert WIDTHS_S[angle] <= 2 * LAGS_S[angle]
        assert not degrees[: MOTION_RATE_HZ + 1, i].any(), "the head moved before there was anything to follow"


def test_the_future_is_not_heard() -> None:
    voice = np.concatenate([tone(1, 120), silence(0.4), tone(1.5, 200)])
    other = voice.copy()
    other[round(1.2 * 16_000) :] = tone(len(voice) / 16_000 - 1.2, 300)
    at = round(1.2 * MOTION_RATE_HZ)
    np.testing.assert_allclose(listening(voice)[:at], listening(other)[:at], atol=1e-9)


def test_what_comes_by_chance_is_smooth_and_of_its_size() -> None:
    chance = wandering(200_000, 0.5, np.random.default_rng(1))
    assert chance.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(chance)).max() < 0.3
    apart = round(0.5 * MOTION_RATE_HZ)
    assert abs(np.corrcoef(chance[:-apart], chance[apart:])[0, 1]) < 0.05


def test_the_pose_at_rest_is_kept_and_the_own_voice_moves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ("DRIFT_DEG", "RESTLESS_DEG"):
        monkeypatch.setattr(head_motion, size, dict.fromkeys(ROTATIONS, 0.0))
    pose, voice = np.array([5.0, -20.0, 40.0]), np.concatenate([silence(1.5), tone(2, 220), silence(1)])
    rng = np.random.default_rng(0)
    hears, speaks = (head_motion.head_motion(*voices, pose, rng) for voices in ((voice, 0 * voice), (0 * voice, voice)))
    np.testing.assert_allclose(hears - pose, listening(voice), atol=1e-9)
    np.testing.assert_allclose(speaks[:60], np.tile(pose, (60, 1)))
    lag = round(LAGS_S["pitch"] * MOTION_RATE_HZ)
    np.testing.assert_allclose(speaks[:-lag, 1] - pose[1], head_motion.OWN_SPEECH * (hears - pose)[lag:, 1], atol=1e-9)
