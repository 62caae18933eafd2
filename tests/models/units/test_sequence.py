import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.units.sequence import text_to_units, unit_sequence, units_to_text

IDS = np.array([5, 5, 9, 9, 9, 2, 5], np.int32)


def test_merged_units_read_as_specified() -> None:
    units, runs = unit_sequence(IDS)
    assert units_to_text(units) == "<sosp><5><9><2><5><eosp>"
    assert runs.tolist() == [2, 3, 1, 1]


def test_downsampled_and_raw_units_stand_for_all_frames() -> None:
    units, runs = unit_sequence(IDS, "downsample")
    assert units.tolist() == [5, 9]
    assert runs.tolist() == [4, 3]
    units, runs = unit_sequence(IDS, "raw")
    assert units.tolist() == IDS.tolist()
    assert runs.tolist() == [1] * 7


def test_text_gives_its_units_back() -> None:
    assert text_to_units(units_to_text(np.array([41, 7, 655]))).tolist() == [41, 7, 655]
    assert text_to_units("<sosp><eosp>").tolist() == []


@pytest.mark.parametrize("text", ["<sosp><41>", "<sosp><041><eosp>", "<sosp> <4><eosp>", "<sosp><-1><eosp>", ""])
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(RapportError, match="no sequence of units"):
        text_to_units(text)
