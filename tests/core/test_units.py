import numpy as np
import pytest

from rapport.core.units import SpeechUnits, merge_runs


def test_runs_of_equal_ids_become_one_unit_and_residuals_stay_one_a_frame() -> None:
    residuals = np.zeros((7, 3), np.float32)
    speech = SpeechUnits.of([5, 5, 9, 9, 9, 2, 5], residuals)
    assert speech.units.tolist() == [5, 9, 2, 5]
    assert speech.runs.tolist() == [2, 3, 1, 1]
    assert np.repeat(speech.units, speech.runs).tolist() == speech.ids.tolist()
    assert speech.residuals is not None
    assert len(speech.residuals) == 7


def test_no_frames_make_no_units() -> None:
    units, runs = merge_runs(np.zeros(0, np.int32))
    assert len(units) == len(runs) == 0


def test_residuals_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 residuals for 3 frames"):
        SpeechUnits.of([1, 2, 3], np.zeros((2, 4), np.float32))
