import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance

from rapport.training.motion_accuracy import rates_of
from rapport.training.motion_pairs import MotionPair
from rapport.training.motion_plausibility import MotionWindows, RateDistributions, Spread, frechet

RATE = 30


def motion(frames=300, seed=0):
    return np.cumsum(np.random.default_rng(seed).normal(size=(frames, 3)), axis=0)


def scores(part, truth, prediction):
    return part.scores(part.statistics(MotionPair("t", None, truth, prediction)))


def test_the_spread_is_a_ratio_to_the_truth_whatever_the_offset():
    found = scores(Spread(), motion(), motion() * [0.5, 1, 2] + 40)
    assert [found[f"std_ratio_{angle}"] for angle in ("roll", "pitch", "yaw")] == pytest.approx([0.5, 1, 2])
    assert [found[f"range_ratio_{angle}"] for angle in ("roll", "pitch", "yaw")] == pytest.approx([0.5, 1, 2])
    same = scores(Spread(), motion(), motion())
    assert all(value == pytest.approx(1) for value in same.values())
    still = scores(Spread(), motion(), np.zeros((300, 3)))
    assert still["variance_ratio"] == still["range_ratio"] == 0


def test_a_mean_pose_of_each_turn_does_not_pass_for_motion():
    part = Spread()
    rows = [part.statistics(MotionPair("t", None, motion(seed=s), np.full((300, 3), 10.0 * s))) for s in range(5)]
    assert part.scores(np.sum(rows, axis=0))["variance_ratio"] == pytest.approx(0)


def test_a_truth_that_does_not_move_leaves_the_ratio_undefined():
    assert np.isnan(scores(Spread(), np.zeros((300, 3)), motion())["variance_ratio"])


def test_means_and_distances_of_rates_are_those_of_the_frames():
    truth, given = motion(seed=1), motion(seed=2) * 1.7
    found = scores(RateDistributions(RATE), truth, given)
    for order, name, unit in ((1, "speed", "deg_s"), (2, "acceleration", "deg_s2"), (3, "jerk", "deg_s3")):
        lengths = [np.linalg.norm(rates_of(m, order, RATE), axis=1) for m in (truth, given)]
        assert found[f"truth_{name}_{unit}"] == pytest.approx(lengths[0].mean())
        assert found[f"{name}_{unit}"] == pytest.approx(lengths[1].mean())
        assert found[f"{name}_wasserstein_{unit}"] == pytest.approx(wasserstein_distance(*lengths), rel=0.02)


def test_a_steady_turn_is_as_far_from_stillness_as_it_is_fast():
    turn = np.arange(90)[:, None] / RATE * [0, 0, 12.3]
    found = scores(RateDistributions(RATE), turn, turn * 0)
    assert found["speed_wasserstein_deg_s"] == pytest.approx(12.3)
    assert found["jerk_wasserstein_deg_s3"] == pytest.approx(0, abs=1e-6)
    assert scores(RateDistributions(RATE), turn, turn + 7)["speed_wasserstein_deg_s"] == pytest.approx(0, abs=1e-6)


def test_rates_beyond_the_grid_are_counted_at_its_end():
    found = scores(RateDistributions(RATE), np.zeros((10, 3)), np.tile([[0.0], [1e9]], (5, 3)))
    assert found["jerk_deg_s3"] == pytest.approx(1e8)


def test_the_distance_of_gaussians_is_the_one_with_a_matrix_root():
    random = np.random.default_rng(0)
    (a, b), (m, n) = random.normal(size=(2, 8, 8)), random.normal(size=(2, 8))
    c, d = a @ a.T, b @ b.T
    wanted = ((m - n) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet(m, c, n, d) == pytest.approx(wanted)
    assert frechet(m, c, m, c) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(frechet(np.stack([m, n]), np.stack([c, d]), np.stack([n, n]), np.stack([d, d])), [wanted, 0], atol=1e-6)


def test_a_covariance_short_of_full_rank_still_has_a_distance():
    c, d = np.diag([4.0, 0.0, 0.0]), np.diag([1.0, 0.0, 9.0])
    assert frechet(np.zeros(3), c, np.zeros(3), d) == pytest.approx((2 - 1) ** 2 + 3**2)


def test_windows_of_the_same_manner_lie_close_and_of_another_far():
    part = MotionWindows(RATE)
    truth = motion(6000, 1)
    same, alike, twice, still = (scores(part, truth, m)["frechet_deg2"] for m in (truth, motion(6000, 2), 2 * truth, truth * 0))
    assert same == pytest.approx(0, abs=1e-6)
    assert same < alike < 0.25 * twice
    assert twice == pytest.approx(still, rel=1e-3)  # (2 s - s)² and (s - 0)²


@pytest.mark.parametrize("rate", [25, 30, 60])
def test_a_still_head_is_as_far_as_true_windows_vary_at_any_rate(rate):
    t = np.arange(20 * rate) / rate
    nodding = np.stack([0 * t, 4 * np.sin(2 * np.pi * 2.0 * t), 0 * t], axis=1)
    assert scores(MotionWindows(rate), nodding, nodding * 0)["frechet_deg2"] == pytest.approx(4**2 / 2, rel=0.02)


def test_where_the_head_is_held_makes_no_difference_to_windows():
    truth = motion(600)
    assert scores(MotionWindows(RATE), truth, truth + np.array([10, -50, 20]))["frechet_deg2"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("frames", [4, 29, 30])
def test_turns_with_fewer_than_two_windows_have_no_distance(frames):
    assert np.isnan(scores(MotionWindows(RATE), motion(frames), motion(frames))["frechet_deg2"])
