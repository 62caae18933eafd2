import numpy as np
import pytest

from rapport.training.motion_nods import Nods, find_nods
from rapport.training.motion_pairs import MotionPair

RATE = 30


def pitch_of(*bursts, seconds=20, rate=RATE):
    """A pitch with nods: (start in s, strokes, Hz, degrees) each, down and up again from where the head rests."""
    t = np.arange(round(seconds * rate)) / rate
    pitch = np.zeros_like(t)
    for start, strokes, frequency, depth in bursts:
        inside = (t >= start) & (t <= start + strokes / frequency)
        pitch += np.where(inside, depth / 2 * (1 - np.cos(2 * np.pi * frequency * (t - start))), 0)
    return pitch


def pair(truth_pitch, given_pitch, **speaker):
    truth, given = (np.stack([p * 0, p, p * 0], axis=1) for p in (truth_pitch, given_pitch))
    return MotionPair("t", None, truth, given, speaker)


@pytest.mark.parametrize("rate", [25, 30, 60])
def test_planted_nods_are_counted_with_their_strokes_and_frequency(rate):
    found = find_nods(pitch_of((2, 3, 2.0, 6), (8, 1, 1.0, 8), (14, 4, 4.0, 5), rate=rate), rate)
    assert found.nods == 3
    assert len(found.frames) == 3 + 1 + 4
    np.testing.assert_allclose(1 / found.periods_s, [2, 2, 2, 1, 4, 4, 4, 4], rtol=0.15)
    assert found.frames[0] / rate == pytest.approx(2.25, abs=1 / rate)


def test_small_jitter_slow_turns_of_posture_and_raised_heads_are_no_nods():
    t = np.arange(600) / RATE
    jitter = np.random.default_rng(0).normal(scale=0.3, size=600)
    posture = 20 * np.sin(2 * np.pi * 0.1 * t)
    raised = -pitch_of((5, 1, 2, 8))
    for pitch in (jitter, posture, raised):
        assert find_nods(pitch, RATE).nods == 0


def test_nods_are_found_on_a_head_that_sinks():
    t = np.arange(600) / RATE
    found = find_nods(pitch_of((2, 2, 2.5, 6), (12, 2, 2.5, 6)) + 25 * np.sin(2 * np.pi * 0.05 * t), RATE)
    assert found.nods == 2
    assert len(found.frames) == 4


@pytest.mark.parametrize("frames", [0, 1, 4, 40])
def test_a_still_or_short_turn_has_no_nods(frames):
    found = find_nods(np.zeros(frames), RATE)
    assert (found.nods, len(found.frames), len(found.periods_s)) == (0, 0, 0)


def test_rates_are_a_minute_over_all_turns():
    part = Nods((), RATE)
    sums = part.statistics(pair(pitch_of((2, 2, 2, 6), (9, 2, 2, 6)), pitch_of((2, 2, 3, 6)))) + part.statistics(
        pair(pitch_of(seconds=40), pitch_of(seconds=40))
    )
    found = part.scores(sums)
    assert found["truth_nods_per_minute"] == pytest.approx(2)
    assert found["nods_per_minute"] == pytest.approx(1)
    assert found["truth_nod_hz"] == pytest.approx(2, rel=0.1)
    assert found["nod_hz"] == pytest.approx(3, rel=0.1)


def test_the_latency_is_that_from_where_the_speaker_is_loudest():
    starts = np.arange(2, 56, 3) + np.random.default_rng(0).uniform(-0.6, 0.6, 18)
    t = np.arange(60 * RATE) / RATE
    loudness = -40 + 20 * np.exp(-0.5 * ((t[:, None] - starts) / 0.15) ** 2).sum(1)
    loudness[::7] = np.nan
    truth, given = (pitch_of(*((start + lag - 0.25, 1, 2, 6) for start in starts), seconds=60) for lag in (0.4, 0.7))
    part = Nods(("loudness",), RATE)
    found = part.scores(part.statistics(pair(truth, given, loudness=loudness)))
    assert found["truth_nods_per_minute"] == pytest.approx(18, abs=1)
    assert found["truth_nod_latency_loudness_s"] == pytest.approx(0.4, abs=1.5 / RATE)
    assert found["nod_latency_loudness_s"] == pytest.approx(0.7, abs=1.5 / RATE)


@pytest.mark.parametrize("loudness", [0.0, np.nan])
def test_without_nods_or_a_voice_there_is_no_latency(loudness):
    part = Nods(("loudness",), RATE)
    nodding, still = pitch_of((2, 2, 2, 6)), pitch_of()
    found = part.scores(part.statistics(pair(nodding, still, loudness=np.full(len(still), loudness))))
    assert found["nods_per_minute"] == 0
    for name in ("nod_hz", "nod_latency_loudness_s", "truth_nod_latency_loudness_s"):
        assert np.isnan(found[name])
