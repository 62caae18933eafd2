"""Actions are checked before they are heard."""

from typing import Any

import numpy as np
import pytest

from rapport.simulator.utterance import ActionError, check_action


@pytest.mark.parametrize(
    ("action", "tells"),
    [
        ([0.0, 0.1], "action is list"),
        (None, "action is NoneType"),
        (np.zeros((2, 100), np.float32), r"shape \(2, 100\)"),
        (np.zeros(0, np.float32), r"S >= 1"),
        (np.zeros(100, np.int16), "action is int16"),
        (np.array([0.0, np.nan, np.inf], np.float32), "2 of 3 samples"),
    ],
)
def test_what_is_not_speech_is_refused(action: Any, tells: str) -> None:
    with pytest.raises(ActionError, match=tells):
        check_action(action, 1e-4)


def test_silence_is_known_for_what_it_is() -> None:
    assert check_action(np.zeros(100, np.float32), 1e-4).silent
    assert check_action(np.full(100, 1e-5, np.float32), 1e-4).silent
    assert check_action("  ", 1e-4).silent
    assert not check_action(np.full(100, 0.01), 1e-4).silent


def test_clipped_samples_are_counted_and_cut_for_the_ears_only() -> None:
    loud = np.array([0.5, 1.0, -3.0, 2.0])
    utterance = check_action(loud, 1e-4)
    assert utterance.clipped == 3
    assert np.array_equal(utterance.action, loud.astype(np.float32))
    assert utterance.heard is not None
    assert utterance.heard.dtype == np.float32
    assert np.array_equal(utterance.heard, np.array([0.5, 1.0, -1.0, 1.0], np.float32))
