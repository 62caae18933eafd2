import numpy as np
import pytest
from scipy import signal

from rapport.training.motion_pairs import MotionPair
from rapport.training.motion_timing import Correlations, SpeakerLags, Spectra, lag_correlations, lag_sums, peak

RATE = 30


def smooth_noise(frames, seed=0, width=3):
    random = np.random.default_rng(seed)
    return signal.lfilter(np.ones(9) / 3, 1, random.normal(size=(frames, width)), axis=0)


def pair(truth, prediction, **speaker):
    return MotionPair("t", None, truth, prediction, speaker)


def late(motion, frames):
    """The same motion `frames` later, held before it begins."""
    return motion[np.maximum(0, np.arange(len(motion)) - frames)]


def test_lagged_correlations_are_pearsons_where_the_whole_turn_overlaps():
    x, y = smooth_noise(200, 1), smooth_noise(200, 2)
    found = lag_correlations(lag_sums(x, y, 10))
    np.testing.assert_allclose(found[:, 10], [np.corrcoef(x[:, a], y[:, a])[0, 1] for a in range(3)], atol=1e-12)
    x, y = x - x.mean(0), y - y.mean(0)
    shifted = (x[:-4] * y[4:]).sum(0) / np.sqrt((x[:-4] ** 2).sum(0) * (y[4:] ** 2).sum(0))
    np.testing.assert_allclose(found[:, 14], shifted, atol=1e-12)
    shifted = (x[4:] * y[:-4]).sum(0) / np.sqrt((x[4:] ** 2).sum(0) * (y[:-4] ** 2).sum(0))
    np.testing.assert_allclose(found[:, 6], shifted, atol=1e-12)


@pytest.mark.parametrize("frames", [-20, -1, 0, 12, 45])
def test_a_planted_lag_is_found_to_the_frame(frames):
    motion = smooth_noise(400)
    given = late(motion, frames) if frames >= 0 else motion
    truth = motion if frames >= 0 else late(motion, -frames)
    part = Correlations(RATE)
    found = part.scores(part.statistics(pair(truth, given)))
    for name in ("lag_s", "lag_roll_s", "lag_pitch_s", "lag_yaw_s"):
        assert found[name] == pytest.approx(frames / RATE)
    assert found["lagged_correlation"] > 0.98
    assert found["lagged_correlation"] >= found["correlation"]


def test_a_lag_is_found_across_turns_too_short_to_tell_alone():
    part = Correlations(RATE)
    sums = np.zeros(part.width)
    for seed in range(40):
        motion = smooth_noise(60, seed)
        noise = smooth_noise(60, seed + 1000)
        sums += part.statistics(pair(motion[8:], late(motion, 8)[8:] + noise[8:]))
    assert part.scores(sums)["lag_s"] == pytest.approx(8 / RATE)


def test_the_same_motion_correlates_fully_and_its_opposite_not_at_its_peak():
    motion = smooth_noise(300)
    part = Correlations(RATE)
    same = part.scores(part.statistics(pair(motion, motion)))
    assert same["correlation"] == same["lagged_correlation"] == pytest.approx(1)
    assert same["lag_s"] == 0
    opposite = part.scores(part.statistics(pair(motion, -motion)))
    assert opposite["correlation"] == pytest.approx(-1)
    assert opposite["lagged_correlation"] < 0.6


@pytest.mark.parametrize("pose", [0.0, 31.7])
def test_a_head_that_does_not_move_correlates_with_nothing_and_has_no_lag(pose):
    part = Correlations(RATE)
    motion = smooth_noise(300)
    found = part.scores(part.statistics(pair(motion, np.full_like(motion, pose))))
    assert found["correlation"] == found["lagged_correlation"] == 0
    assert np.isnan(found["lag_s"])
    found = part.scores(part.statistics(pair(np.full_like(motion, pose), motion)))
    assert np.isnan(found["correlation"])


@pytest.mark.parametrize("frames", [4, 20, 61])
def test_turns_shorter_than_the_longest_lag_are_scored(frames):
    part = Correlations(RATE)
    found = part.scores(part.statistics(pair(smooth_noise(frames), smooth_noise(frames))))
    assert found["lagged_correlation"] == pytest.approx(1)
    assert found["lag_s"] == 0
    assert len(part.curves(part.statistics(pair(smooth_noise(frames), smooth_noise(frames))))["lags_s"]) == 121


def test_the_peak_is_of_either_sign_only_when_told_so():
    curve = np.array([[0.1, 0.3, np.nan, -0.9, 0.2], [np.nan] * 5])
    assert peak(curve)[0].tolist()[0] == 0.3
    value, lag = peak(curve, either_sign=True)
    assert (value[0], lag[0]) == (-0.9, 1)
    assert np.isnan([value[1], lag[1]]).all()


def test_the_head_follows_the_speaker_by_the_planted_lags():
    loudness, pitch = smooth_noise(600, 3, 2).T
    loudness[:5] = pitch[100:200] = np.nan  # digital silence, a pause
    known_loudness, known_pitch = np.nan_to_num(loudness), np.nan_to_num(pitch)
    truth = np.stack([known_pitch, late(known_loudness, 12), -late(known_pitch, 20)], axis=1)
    prediction = np.stack([known_pitch, late(known_loudness, 13), np.zeros(600)], axis=1) + smooth_noise(600, 4) * [0.5, 0.5, 0]
    part = SpeakerLags(("loudness", "log_f0"), RATE)
    found = part.scores(part.statistics(pair(truth, prediction, loudness=loudness, log_f0=pitch)))
    assert found["truth_loudness_pitch_lag_s"] == pytest.approx(12 / RATE)
    assert found["loudness_pitch_lag_s"] == pytest.approx(13 / RATE)
    assert found["truth_log_f0_yaw_lag_s"] == pytest.approx(20 / RATE)
    assert found["truth_log_f0_yaw_correlation"] < -0.95
    assert found["truth_log_f0_roll_lag_s"] == 0
    assert found["log_f0_yaw_correlation"] == 0
    assert np.isnan(found["log_f0_yaw_lag_s"])


def test_a_signal_in_small_units_counts_as_one_in_large_ones():
    energy = smooth_noise(300, 5, 1)[:, 0]
    motion = late(np.repeat(energy[:, None], 3, axis=1), 6)
    part = SpeakerLags(("energy",), RATE)
    found = part.scores(part.statistics(pair(motion, motion, energy=energy * 1e-6)))
    assert found["energy_pitch_lag_s"] == pytest.approx(6 / RATE)
    assert found["energy_pitch_correlation"] == pytest.approx(1, abs=0.02)


def test_without_signals_of_the_speaker_there_are_no_lags_to_it():
    part = SpeakerLags((), RATE)
    assert part.scores(part.statistics(pair(smooth_noise(50), smooth_noise(50)))) == {}


def sines(frequencies_hz, frames=900, amplitude=3.0):
    t = np.arange(frames) / RATE
    return amplitude * np.sin(2 * np.pi * np.asarray(frequencies_hz) * t[:, None])


def test_planted_frequencies_are_peaks_of_the_spectrum_and_their_power_is_that_of_the_sine():
    part = Spectra(RATE)
    curves = part.curves(part.statistics(pair(sines([0.5, 2.0, 5.0]), sines([1.0, 1.0, 1.0]))))
    frequencies = np.array(curves["frequencies_hz"])
    assert frequencies[0] >= 0.2
    assert frequencies[-1] < 7
    for name, wanted in (("truth_roll", 0.5), ("truth_pitch", 2.0), ("truth_yaw", 5.0), ("prediction_yaw", 1.0)):
        assert frequencies[np.argmax(curves[name])] == wanted
    step = frequencies[1] - frequencies[0]
    assert np.sum(curves["truth_pitch"]) * step == pytest.approx(3**2 / 2, rel=0.02)


def test_power_ratios_tell_what_a_smoother_takes_away():
    part = Spectra(RATE)
    truth = sines([0.5, 2.0, 5.0])
    found = part.scores(part.statistics(pair(truth, truth * [1, 0.5, 0])))
    assert found["power_ratio_slow"] == pytest.approx(1, abs=0.01)
    assert found["power_ratio_middle"] == pytest.approx(0.25, abs=0.01)
    assert found["power_ratio_fast"] == pytest.approx(0, abs=0.01)


def test_the_spectrum_error_is_the_distance_in_decibels():
    part = Spectra(RATE)
    motion = smooth_noise(900) * 10
    assert part.scores(part.statistics(pair(motion, motion)))["spectrum_error_db"] == pytest.approx(0)
    assert part.scores(part.statistics(pair(motion, 2 * motion)))["spectrum_error_db"] == pytest.approx(6.02, abs=0.02)


def test_coherence_is_blind_to_gain_and_lag_and_low_between_strangers():
    part = Spectra(RATE)
    motion = smooth_noise(9000)
    same = part.scores(part.statistics(pair(motion, -2 * late(motion, 2))))
    strangers = part.scores(part.statistics(pair(motion, smooth_noise(9000, 1))))
    still = part.scores(part.statistics(pair(motion, np.ones_like(motion))))
    for band in ("slow", "middle", "fast"):
        assert same[f"coherence_{band}"] > 0.8
        assert strangers[f"coherence_{band}"] < 0.1
        assert still[f"coherence_{band}"] == 0
    assert still["power_ratio_slow"] == 0
    assert np.isfinite(still["spectrum_error_db"])


def test_turns_between_one_and_four_seconds_give_a_coarser_spectrum_and_shorter_ones_none():
    part = Spectra(RATE)
    curves = part.curves(part.statistics(pair(sines([2, 2, 2], 45), sines([2, 2, 2], 45))))
    assert curves["frequencies_hz"][int(np.argmax(curves["truth_pitch"]))] == pytest.approx(2, abs=0.3)
    nothing = part.statistics(pair(sines([2, 2, 2], 29), sines([2, 2, 2], 29)))
    assert not nothing.any()
    assert all(np.isnan(value) for value in part.scores(nothing).values())
