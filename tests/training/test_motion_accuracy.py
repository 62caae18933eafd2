import numpy as np
import pytest

from rapport.core.pose import wrap
from rapport.training.motion_accuracy import PoseErrors, RateErrors, rates_of
from rapport.training.motion_pairs import MotionPair, by_angle, ratio, usable


def pair(truth, prediction, **more):
    found = usable(MotionPair("t", None, np.asarray(truth, float), np.asarray(prediction, float), **more))
    assert found is not None
    return found


def motion(frames=60, seed=0):
    return np.cumsum(np.random.default_rng(seed).normal(size=(frames, 3)), axis=0)


def test_identical_motions_have_no_error():
    same = pair(motion(), motion())
    errors, rates = PoseErrors(), RateErrors(30)
    found = errors.scores(errors.statistics(same)) | rates.scores(rates.statistics(same))
    assert len(found) == 13 + 3
    assert all(value == pytest.approx(0, abs=1e-6) for value in found.values())


def test_an_offset_counts_in_the_error_and_not_once_it_is_removed():
    errors = PoseErrors()
    found = errors.scores(errors.statistics(pair(motion(), motion() + np.array([3, 0, -6]))))
    assert found["mae_deg"] == pytest.approx(3)
    assert found["mae_yaw_deg"] == found["rmse_yaw_deg"] == pytest.approx(6)
    assert found["rmse_deg"] == pytest.approx(np.sqrt(15))
    assert found["offset_removed_mae_deg"] == pytest.approx(0, abs=1e-9)


def test_errors_go_the_short_way_round_and_over_jumps():
    truth = np.zeros((50, 3))
    truth[:, 2] = np.linspace(150, 210, 50)
    errors = PoseErrors()
    found = errors.scores(errors.statistics(pair(wrap(truth), truth - 362)))
    assert found["mae_deg"] == pytest.approx(2)
    assert found["geodesic_deg"] == pytest.approx(np.sqrt(3 * 2**2), abs=0.05)  # small turns about axes at right angles
    assert found["offset_removed_mae_deg"] == pytest.approx(0, abs=1e-9)


def test_every_frame_counts_alike_whichever_turn_it_is_of():
    errors = PoseErrors()
    short, long = np.zeros((10, 3)), np.zeros((30, 3))
    sums = errors.statistics(pair(short, short + 4)) + errors.statistics(pair(long, long))
    assert errors.scores(sums)["mae_deg"] == pytest.approx(1)


def test_scores_of_many_sums_are_those_of_each():
    errors = PoseErrors()
    rows = np.stack([errors.statistics(pair(motion(seed=s), motion(seed=s + 9))) for s in range(4)])
    together = errors.scores(rows)
    for i, row in enumerate(rows):
        assert {name: float(value[i]) for name, value in together.items()} == pytest.approx(
            {name: float(value) for name, value in errors.scores(row).items()}
        )


def test_rates_are_derivatives_in_seconds():
    t = np.arange(90) / 30
    cubic = np.stack([2 * t, 3 * t**2, t**3], axis=1)
    np.testing.assert_allclose(rates_of(cubic, 1, 30)[:, 0], 2)
    np.testing.assert_allclose(rates_of(cubic, 2, 30)[:, 1], 6, atol=1e-9)
    np.testing.assert_allclose(rates_of(cubic, 3, 30)[:, 2], 6, atol=1e-6)
    rates = RateErrors(30)
    found = rates.scores(rates.statistics(pair(np.zeros((90, 3)), cubic * [1, 0, 0])))
    assert found["velocity_mae_deg_s"] == pytest.approx(2 / 3)
    assert found["acceleration_mae_deg_s2"] == pytest.approx(0, abs=1e-9)


def test_nothing_has_no_error():
    errors = PoseErrors()
    assert all(np.isnan(value) for value in errors.scores(np.zeros(errors.width)).values())


def test_the_longest_finite_stretch_is_scored():
    truth, prediction = motion(20), motion(20)
    truth[3] = np.nan
    prediction[12, 1] = np.inf
    loudness = np.arange(20.0)
    loudness[[5, 6]] = -np.inf, np.nan
    found = pair(truth, prediction, speaker={"loudness": loudness})
    assert len(found.truth) == len(found.prediction) == 8
    np.testing.assert_array_equal(found.speaker["loudness"], [4, np.nan, np.nan, 7, 8, 9, 10, 11])


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_a_turn_that_is_too_short_is_not_scored(frames):
    assert usable(MotionPair("t", None, np.zeros((frames, 3)), np.zeros((frames, 3)))) is None


def test_shapes_that_disagree_are_refused_by_name():
    with pytest.raises(ValueError, match="prediction"):
        MotionPair("t", None, np.zeros((5, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="loudness"):
        MotionPair("t", None, np.zeros((5, 3)), np.zeros((5, 3)), {"loudness": np.zeros(4)})
    with pytest.raises(ValueError, match=r"wanted two motions \[T, 3\]"):
        MotionPair("t", None, np.zeros(5), np.zeros(5))


def test_helpers_name_angles_and_do_not_divide_by_nothing():
    assert by_angle("mae", np.arange(3.0), "_deg") == {"mae_roll_deg": 0, "mae_pitch_deg": 1, "mae_yaw_deg": 2}
    np.testing.assert_array_equal(ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])), [0.5, np.nan])
