import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.core.errors import RapportError
from rapport.core.pose import ROTATIONS, PoseFrame, geodesic_deg, resample, rotation, unwrap, wrap


def about_x(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def about_y(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def about_z(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def test_a_frame_tells_its_angles_in_the_order_of_the_arrays():
    assert PoseFrame._fields == ("time_s", *ROTATIONS)


def test_the_rotation_is_roll_then_pitch_then_yaw_about_the_axes_of_the_room():
    wanted = about_z(30) @ about_y(20) @ about_x(10)
    np.testing.assert_allclose(rotation([[10, 20, 30]]).as_matrix()[0], wanted, atol=1e-12)


def test_positive_angles_lower_the_right_ear_and_the_nose_and_look_left():
    nose, right_ear = np.array([1, 0, 0]), np.array([0, -1, 0])
    roll, pitch, yaw = rotation(np.diag([20, 20, 20])).as_matrix()
    assert (roll @ right_ear)[2] < 0
    assert (pitch @ nose)[2] < 0
    assert (yaw @ nose)[1] > 0  # y is the left


@settings(max_examples=100)
@given(st.floats(-1e4, 1e4, allow_nan=False), st.integers(-5, 5))
def test_wrapping_takes_whole_turns_away(angle, turns):
    found = float(wrap(angle + 360 * turns))
    assert -180 <= found < 180
    assert (found - angle) / 360 == pytest.approx(round((found - angle) / 360), abs=1e-9)


def test_wrapping_leaves_what_is_in_range_to_the_last_bit():
    angles = np.array([-180.0, -1e-12, 0.1, 179.999])
    assert wrap(angles).tolist() == angles.tolist()


def test_unwrapping_each_angle_removes_jumps_of_whole_turns():
    true = np.stack([np.linspace(0, 900, 50), np.linspace(0, -900, 50), np.zeros(50)], axis=1)
    np.testing.assert_allclose(unwrap(wrap(true)), true, atol=1e-9)


def test_resampling_is_linear_and_holds_the_ends():
    found = resample([1.0, 2.0, 4.0], [[0, 10, -1], [10, 10, -2], [30, 0, -4]], [0.0, 1.5, 3.0, 9.0])
    np.testing.assert_allclose(found, np.array([[0, 10, -1], [5, 10, -1.5], [20, 5, -3], [30, 0, -4]]))


def test_resampling_goes_the_short_way_over_half_a_turn():
    found = resample([0.0, 1.0], [[0, 0, 170], [0, 0, -170]], [0.5, 1.0])
    np.testing.assert_allclose(found[:, 2], [180, 190])


def test_a_lag_in_the_recording_is_kept_across_rates():
    """Motion that was recorded at 120 Hz is where it was, within a frame, on a clock of 29.97 Hz: alignment is by time, not by count."""
    recorded_s = np.arange(1200) / 120
    nod = np.exp(-0.5 * ((recorded_s - 6.4) / 0.1) ** 2)
    clock_s = (np.arange(290) + 1) / 29.97
    found = resample(recorded_s, np.stack([nod, nod, nod], axis=1), clock_s)
    assert abs(clock_s[found[:, 1].argmax()] - 6.4) <= 1 / 29.97


@pytest.mark.parametrize(
    ("times", "angles", "at", "message"),
    [
        ([0, 1, 1], np.zeros((3, 3)), [0], "pose 2 is at 1 s, after one at 1 s: wanted times that increase"),
        ([0, 2, 1], np.zeros((3, 3)), [0], "pose 2 is at 1 s, after one at 2 s"),
        ([0, np.nan], np.zeros((2, 3)), [0], "1 of the 2 times of the poses are not finite"),
        ([0, 1], [[0, 0, 0], [0, np.nan, np.inf]], [0], "2 of the 6 angles are not finite"),
        ([0, 1], np.zeros((2, 3)), [np.inf], "1 of the 1 wanted times are not finite"),
        ([], np.zeros((0, 3)), [0], "no pose"),
    ],
)
def test_poses_that_cannot_be_resampled_are_refused(times, angles, at, message):
    with pytest.raises(RapportError, match=message):
        resample(times, angles, at)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\), \(3, 3\) and \(1,\)"):
        resample([0, 1], np.zeros((3, 3)), [0])
    with pytest.raises(ValueError, match="one length"):
        geodesic_deg(np.zeros((2, 3)), np.zeros((3, 3)))


def test_geodesic_is_the_angle_about_one_axis_and_never_more_than_half_a_turn():
    still = np.zeros((4, 3))
    moved = np.array([[40, 0, 0], [0, -50, 0], [0, 0, 190], [360, 0, -720]])
    np.testing.assert_allclose(geodesic_deg(still, moved), [40, 50, 170, 0], atol=1e-9)
    np.testing.assert_allclose(geodesic_deg([[0, 0, 170]], [[0, 0, -170]]), [20])
    assert len(geodesic_deg(np.zeros((0, 3)), np.zeros((0, 3)))) == 0


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_geodesic_is_that_of_the_matrices_and_blind_to_the_signs_of_any_two_angles(seed):
    a, b = np.random.default_rng(seed).uniform(-80, 80, (2, 6, 3))
    trace = np.trace(rotation(a).as_matrix().swapaxes(1, 2) @ rotation(b).as_matrix(), axis1=1, axis2=2)
    wanted = np.rad2deg(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    np.testing.assert_allclose(geodesic_deg(a, b), wanted, atol=1e-5)
    for signs in ((-1, -1, 1), (-1, 1, -1), (1, -1, -1)):
        np.testing.assert_allclose(geodesic_deg(a * signs, b * signs), wanted, atol=1e-5)
