"""Services are asked again when they raise; what cannot be had is a failure, and a service that stays dead an error."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from rapport.simulator.asking import Asker, ServiceError, Timings
from rapport.simulator.requests import Failure, HearingRequest, JudgeRequest, PictureRequest, Services, SpeechRequest
from tests.simulator.toy_dialogue import Answers, Counted, counted

HEAR = HearingRequest(np.zeros(3, np.float32), 16_000)


def judge(heard: str = "") -> JudgeRequest:
    return JudgeRequest("", heard, (), (), 0)


def services(**given: Any) -> Services:
    usual = {"judge": "{}", "ears": "", "voice": np.zeros(1, np.float32), "pictures": np.zeros((8, 8, 3), np.uint8)}
    return Services(**{kind: Counted(given.get(kind, Answers(partial(_always, answer)))) for kind, answer in usual.items()})


def _always(answer: Any, request: Any) -> Any:
    return answer


class Flaky:
    """Raises the first times."""

    version, deterministic = "flaky", True

    def __init__(self, failures: int) -> None:
        self.left = failures

    def batch(self, requests: Sequence[Any]) -> list[Any]:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("the actor died")
        return ["words"] * len(requests)


def test_one_batch_a_kind_and_results_in_order() -> None:
    given = services(judge=Answers(lambda request: request.heard), ears=Answers(lambda request: "heard"))
    assert Asker(given).ask([judge("a"), HEAR, judge("b")]) == ["a", "heard", "b"]
    assert [len(counted(given, kind).batches) for kind in ("judge", "ears", "voice")] == [1, 1, 0]


def test_a_service_that_raises_is_asked_again() -> None:
    assert Asker(services(ears=Flaky(2)), retries=2).ask([HEAR]) == ["words"]


def test_a_service_that_stays_dead_fails_its_rows_and_in_the_end_raises() -> None:
    asker = Asker(services(ears=Flaky(10**6)), retries=1, failures_allowed=2)
    for _ in range(2):
        [failure] = asker.ask([HEAR])
        assert isinstance(failure, Failure)
        assert failure.service == "ears"
        assert "the actor died" in failure.reason
    with pytest.raises(ServiceError, match=r"ears .counted. failed 3 batches in a row.*the actor died.*failures_allowed"):
        asker.ask([HEAR])


def test_one_bad_request_spoils_no_other() -> None:
    def answer(request: JudgeRequest) -> str:
        if request.heard == "bad":
            raise ValueError("too long")
        return request.heard

    results = Asker(services(judge=Answers(answer)), retries=1).ask([judge("a"), judge("bad"), judge("c"), judge("d")])
    assert [results[i] for i in (0, 2, 3)] == ["a", "c", "d"]
    assert isinstance(results[1], Failure)
    assert results[1].reason == "ValueError: too long"


def test_a_dead_service_is_not_asked_for_every_row() -> None:
    given = services(ears=Flaky(10**6))
    results = Asker(given, retries=1).ask([HEAR] * 50)
    assert all(isinstance(result, Failure) for result in results)
    assert len(counted(given, "ears").batches) <= 6


def test_too_few_results_are_a_failure() -> None:
    class Short:
        version, deterministic = "short", True

        def batch(self, requests: Sequence[Any]) -> list[Any]:
            return []

    [failure] = Asker(services(judge=Short()), retries=0).ask([judge()])
    assert isinstance(failure, Failure)
    assert "0 results for 1 requests" in failure.reason


@pytest.mark.parametrize(
    ("kind", "answer", "tells"),
    [
        ("judge", {"response_text": "hello"}, "dict: wanted text"),
        ("ears", None, "NoneType: wanted text"),
        ("voice", np.zeros((2, 5), np.float32), r"float32 \(2, 5\)"),
        ("voice", np.array([np.nan], np.float32), "wanted finite"),
        ("voice", np.zeros(5, np.int16), "int16"),
        ("pictures", np.zeros((8, 8, 3), np.float32), "wanted uint8"),
        ("pictures", np.zeros((8, 8), np.uint8), r"\(8, 8\)"),
    ],
)
def test_a_result_of_the_wrong_type_is_a_failure(kind: str, answer: Any, tells: str) -> None:
    request: Any = {
        "judge": judge(),
        "ears": HEAR,
        "voice": SpeechRequest("hi", "v", 8_000),
        "pictures": PictureRequest(1, "pen", "", "train", 0, 0, 8, 8),
    }[kind]
    [failure] = Asker(services(**{kind: Answers(lambda request: answer)})).ask([request])
    assert isinstance(failure, Failure)
    assert re.search(tells, failure.reason)


def test_a_service_that_never_answers_rightly_is_no_better_than_a_dead_one() -> None:
    asker = Asker(services(judge=Answers(lambda request: {"response_text": "hello"})), failures_allowed=3)
    for _ in range(3):
        asker.ask([judge(), judge()])
    with pytest.raises(ServiceError, match=r"judge .* failed 4 batches in a row, at last with: answered dict"):
        asker.ask([judge(), judge()])


def test_arrays_cannot_be_written_to_since_caches_give_them_to_many() -> None:
    [picture] = Asker(services()).ask([PictureRequest(1, "pen", "", "train", 0, 0, 8, 8)])
    assert isinstance(picture, np.ndarray)
    assert not picture.flags.writeable


def test_waiting_is_measured_and_is_no_part_of_an_outcome() -> None:
    asker = Asker(services())
    asker.ask([judge()])
    timings = asker.take_timings()
    assert timings.judge_s > 0
    assert timings.ears_s == 0
    assert asker.take_timings().judge_s == 0
    assert timings == Timings()
