"""Several callers in one batch: each gets their own answers, and their own errors alone."""

from collections.abc import Sequence

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.callers import answer_callers
from rapport.simulator.requests import HearingRequest, Result


class Ears:
    """Hears the first sample; fails on what is negative."""

    version, deterministic = "1", True

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def batch(self, requests: Sequence[HearingRequest]) -> list[Result]:
        self.sizes.append(len(requests))
        if any(request.waveform[0] < 0 for request in requests):
            raise RapportError("negative")
        return [str(int(request.waveform[0])) for request in requests]


def clips(*values: int) -> list[HearingRequest]:
    return [HearingRequest(np.array([value], np.float32), 16_000) for value in values]


def test_callers_share_a_batch() -> None:
    ears = Ears()
    assert answer_callers(ears, [clips(1, 2), [], clips(3)]) == [["1", "2"], [], ["3"]]
    assert answer_callers(ears, [[]]) == [[]]
    assert ears.sizes == [3]


def test_an_error_reaches_the_caller_who_caused_it() -> None:
    good, bad, other = answer_callers(Ears(), [clips(1), clips(2, -1), clips(3)])
    assert (good, other) == (["1"], ["3"])
    assert isinstance(bad, RapportError)
