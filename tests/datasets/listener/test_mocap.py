from pathlib import Path

import numpy as np
import pytest

from rapport.datasets.listener.mocap import MotionError, parse_motion, read_motion

HEADER = "Frame# Time pitch roll yaw tra_x tra_y tra_z\n# sec deg deg deg mm mm mm\n"


def test_columns_are_told_apart_and_put_in_order(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(HEADER + "1 0.00000 10 20 30 1 2 3\n2 0.00833 11 21 31 1 2 3\n")
    motion = read_motion(str(file))
    np.testing.assert_array_equal(motion.times_s, [0, 0.00833])
    np.testing.assert_array_equal(motion.degrees, [[20, 10, 30], [21, 11, 31]])
    assert motion.lost == 0


@pytest.mark.parametrize("header", ["", HEADER, HEADER + "\n\n", "NaN NaN NaN NaN NaN\n" + HEADER])
def test_whatever_does_not_begin_with_a_number_is_passed_over(header: str) -> None:
    motion = parse_motion(header + "755 6.2917 1.5 -2.5 3.5\r\nend of file\n756 6.3 1 2 3\n", "a.txt")
    np.testing.assert_array_equal(motion.degrees, [[-2.5, 1.5, 3.5], [2, 1, 3]])


def test_rows_without_a_pose_are_counted_and_left_out() -> None:
    motion = parse_motion(HEADER + "1 0.0 NaN NaN NaN\n2 0.1 1 2 3\n3 0.2 1 -1.#IND 3\n4 0.3 4 5 6 NaN NaN NaN\n", "a.txt")
    np.testing.assert_array_equal(motion.times_s, [0.1, 0.3])
    assert motion.lost == 2


@pytest.mark.parametrize(
    ("text", "reason", "told"),
    [
        ("", "motion_empty", "of its 0 rows"),
        (HEADER, "motion_empty", "a.txt holds no pose"),
        (HEADER + "1 0.0 NaN NaN NaN\n", "motion_empty", "of its 1 rows 1 have a NaN"),
        (HEADER + "1 0.0 1 2\n", "motion_row", "a.txt line 3"),
        ("1 0.5 1 2 3\n2 0.4 1 2 3\n", "motion_times", "row at 0.4 s comes after the one at 0.5 s"),
    ],
)
def test_an_error_names_the_file_and_what_is_wrong(text: str, reason: str, told: str) -> None:
    with pytest.raises(MotionError, match=r"a\.txt") as caught:
        parse_motion(text, "a.txt")
    assert caught.value.reason == reason
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MotionError, match=r"none\.txt") as caught:
        read_motion(str(tmp_path / "none.txt"))
    assert caught.value.reason == "motion_missing"
