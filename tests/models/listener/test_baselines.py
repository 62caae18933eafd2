import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.listener.baselines import BASELINES, mean_pose

TRUTH = np.array([[1.0, 2, 3], [3, 2, 1], [8, 2, -4]])


def test_the_mean_pose_counts_frames_and_not_turns() -> None:
    assert mean_pose([TRUTH, TRUTH[:1]]).tolist() == [13 / 4, 2, 3 / 4]
    with pytest.raises(RapportError, match="no frame"):
        mean_pose([np.zeros((0, 3))])


def test_each_baseline_knows_only_what_it_may() -> None:
    mean = np.array([7.0, 8, 9])
    assert BASELINES["mean_pose"](TRUTH, mean).tolist() == [[7, 8, 9]] * 3
    assert BASELINES["start_pose"](TRUTH, mean).tolist() == [[1, 2, 3]] * 3
    assert BASELINES["running_mean"](TRUTH, mean).tolist() == [[1, 2, 3], [1, 2, 3], [2, 2, 2]]


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("frames", [0, 1])
def test_short_turns_are_no_trouble(name: str, frames: int) -> None:
    assert BASELINES[name](TRUTH[:frames], np.zeros(3)).shape == (frames, 3)
