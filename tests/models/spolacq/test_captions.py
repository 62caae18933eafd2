"""Captions as rows of ids."""

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.spolacq.captions import PAD, Vocabulary, caption_rows


def test_units_seen_often_enough_get_ids_in_order() -> None:
    vocabulary = Vocabulary.of([[7, 3, 7], np.array([3, 9])], min_count=1)
    assert vocabulary.units == (3, 7)
    assert (vocabulary.unknown, vocabulary.start, vocabulary.end, vocabulary.size) == (3, 4, 5, 6)
    assert vocabulary.ids([9, 7, 3]) == [3, 2, 1]
    assert vocabulary.units_of([4, 2, 3, 1, 5, PAD]).tolist() == [7, 3]


def test_rows_begin_end_and_are_padded() -> None:
    vocabulary = Vocabulary((3, 7))
    rows = caption_rows([[3, 7], [9]], vocabulary, max_units=3)
    assert rows.tolist() == [[4, 1, 2, 5, PAD], [4, 3, 5, PAD, PAD]]


@pytest.mark.parametrize("units", [[], [3] * 4])
def test_captions_that_are_empty_or_too_long_are_refused(units: list[int]) -> None:
    with pytest.raises(RapportError, match=f"caption 1 has {len(units)} units, wanted 1 to 3"):
        caption_rows([[3], units], Vocabulary((3,)), max_units=3)


def test_no_unit_that_is_seen_often_enough_is_told() -> None:
    with pytest.raises(RapportError, match="min_count"):
        Vocabulary.of([[1, 2, 3]], min_count=1)
