"""What the listener hears: the same bits however the samples are cut, nothing of the future, and finite whatever comes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_count, frame_ends, frame_time_s
from rapport.models.listener.config import CausalConfig, FrontEndConfig
from rapport.models.listener.front_end import VOICE, WINDOW, CausalFrontEnd, push_features
from tests.models.listener.conftest import speech

VOICE_SPEECH = speech(2.0)


def pieces(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def streamed(front_end: CausalFrontEnd, parts: list[np.ndarray]) -> np.ndarray:
    stream = front_end.stream()
    return np.concatenate([stream.push(part) for part in parts])


@pytest.mark.parametrize("rate_hz", [25, 30, 47, 60])
def test_the_clock_is_exact(rate_hz: int) -> None:
    hour = 3600 * 16_000
    assert frame_count(hour, rate_hz) == 3600 * rate_hz
    ends = frame_ends(0, 1000, rate_hz)
    assert ends.tolist() == [(k + 1) * 16_000 // rate_hz for k in range(1000)]
    assert all(0 <= frame_time_s(k, rate_hz) - end / 16_000 < 1 / 16_000 for k, end in enumerate(ends.tolist()))


@pytest.mark.parametrize("spectrum", ["logmel", "mfcc"])
@pytest.mark.parametrize("rate_hz", [25, 30, 47, 60])
def test_any_cutting_gives_the_same_bits(rate_hz: int, spectrum: str) -> None:
    config = FrontEndConfig.model_validate({"frame_rate_hz": rate_hz, "causal": {"spectrum": spectrum}})
    front_end = CausalFrontEnd(config)
    whole = front_end.features(VOICE_SPEECH)
    assert whole.shape == (2 * rate_hz, 32)
    assert whole.dtype == np.float32
    for size in (7, 160, 533, 534, 1023, 4001, 9000):
        assert streamed(front_end, pieces(VOICE_SPEECH, size)).tobytes() == whole.tobytes()


def test_one_sample_at_a_time_gives_the_same_bits() -> None:
    front_end, samples = CausalFrontEnd(), VOICE_SPEECH[:6000]
    assert streamed(front_end, pieces(samples, 1)).tobytes() == front_end.features(samples).tobytes()


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(VOICE_SPEECH)), max_size=12))
def test_uneven_pieces_and_empty_ones_give_the_same_bits(cuts: list[int]) -> None:
    front_end = CausalFrontEnd()
    parts = np.split(VOICE_SPEECH, sorted(cuts))
    assert streamed(front_end, parts).tobytes() == front_end.features(VOICE_SPEECH).tobytes()


def test_streams_pushed_together_give_what_each_gives_alone() -> None:
    front_end = CausalFrontEnd()
    clips = [speech(1.0 + 0.13 * i, seed=i) for i in range(5)]
    streams = [front_end.stream() for _ in clips]
    found: list[list[np.ndarray]] = [[] for _ in clips]
    for start in range(0, 40_000, 1111):
        for rows, got in zip(push_features(streams, [clip[start : start + 1111] for clip in clips]), found, strict=True):
            got.append(rows)
    for clip, got in zip(clips, found, strict=True):
        assert np.concatenate(got).tobytes() == front_end.features(clip).tobytes()
    assert push_features([], []) == []


def test_what_comes_after_a_frame_does_not_change_it() -> None:
    front_end = CausalFrontEnd()
    for frame in (0, 1, 17, 58):
        end = int(frame_ends(frame, frame + 1, 30)[0])
        other = VOICE_SPEECH.copy()
        other[end:] = speech(2.0, seed=4)[end:]
        known, changed = front_end.features(VOICE_SPEECH), front_end.features(other)
        assert known[: frame + 1].tobytes() == changed[: frame + 1].tobytes()
        assert (known[frame + 1 :] != changed[frame + 1 :]).any()


def test_what_lies_before_the_window_changes_nothing_but_the_activity() -> None:
    other = VOICE_SPEECH.copy()
    other[: 16_000 - WINDOW] = 0
    known, changed = (CausalFrontEnd().features(samples)[29] for samples in (VOICE_SPEECH, other))
    assert known[:-1].tobytes() == changed[:-1].tobytes()


def test_pitch_voicing_and_level_are_those_of_the_voice() -> None:
    time_s = np.arange(16_000) / 16_000
    for f0_hz in (80.0, 160.0, 333.0):
        harmonics_hz = f0_hz * np.arange(1, 6)[:, None]
        tone = (0.1 * np.cos(2 * np.pi * harmonics_hz * time_s).sum(0)).astype(np.float32)
        rows = CausalFrontEnd().features(tone)[2:, -len(VOICE) :]
        np.testing.assert_allclose(rows[:, 0], np.log2(f0_hz / 160), atol=0.02)
        assert rows[:, 1].min() > 0.9
        np.testing.assert_allclose(rows[:, 2], np.log(np.mean(tone**2)), atol=0.2)
        assert rows[:10, 3].min() == 1
    noise = np.random.default_rng(0).normal(0, 0.05, 16_000).astype(np.float32)
    assert CausalFrontEnd().features(noise)[:, -3].max() < 0.45


def test_speech_stands_out_from_steady_noise_and_noise_does_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.003, 16_000 * 6).astype(np.float32)
    noise[16_000 * 4 :] += speech(2.0, seed=1) * (np.arange(32_000) > 8_000)
    activity = CausalFrontEnd().features(noise)[:, -1]
    assert activity[30:120].max() < 0.2
    assert activity[135:].max() == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_silence(bad: float) -> None:
    front_end = CausalFrontEnd()
    broken, silent = VOICE_SPEECH.copy(), VOICE_SPEECH.copy()
    broken[5000:9000], silent[5000:9000] = bad, 0
    assert front_end.features(broken).tobytes() == front_end.features(silent).tobytes()


def test_features_are_finite_whatever_comes() -> None:
    front_end = CausalFrontEnd()
    for samples in (np.zeros(9000), np.ones(9000), np.full(9000, 1e38), np.full(9000, 1e-40), np.full(9000, np.nan)):
        assert np.isfinite(front_end.features(samples.astype(np.float32))).all()
    assert front_end.features(np.zeros(0, np.float32)).shape == (0, 32)


def test_ten_minutes_take_no_more_memory_than_ten_seconds() -> None:
    stream = CausalFrontEnd().stream()
    buffer = stream._buffer
    frames = sum(len(stream.push(np.zeros(16_000, np.float32))) for _ in range(600))
    assert frames == 18_000
    assert stream._buffer is buffer


@pytest.mark.parametrize("samples", [np.zeros((2, 100), np.float32), np.zeros(100, np.int16)])
def test_other_arrays_are_refused(samples: np.ndarray) -> None:
    stream = CausalFrontEnd().stream()
    with pytest.raises(RapportError, match="wanted floating point"):
        stream.push(samples)
    assert stream.samples == 0


def test_the_identity_is_json_and_tells_settings_apart() -> None:
    identities = [
        CausalFrontEnd(FrontEndConfig(frame_rate_hz=rate, causal=CausalConfig(bands=bands))).identity
        for rate, bands in ((30, 28), (25, 28), (30, 40))
    ]
    assert len({json.dumps(dict(identity), sort_keys=True) for identity in identities}) == 3
