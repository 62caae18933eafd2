"""Two judges and the same words."""

from typing import Any

import pytest

from rapport.core.errors import RapportError
from rapport.models.backends.judges import load_judge
from rapport.models.spolacq.services import words_of
from rapport.ray_jobs.agent_evaluation.audit import agreement, audit
from rapport.simulator.requests import Failure
from rapport.simulator.task import Task, load_task
from tests.ray_jobs.agent_evaluation.toy import turn
from tests.simulator.toy_dialogue import TEMPLATE, Answers, reply


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cafe")


def test_a_judge_agrees_with_itself(task: Task) -> None:
    judge = load_judge("rule", utterances=words_of(task), otherwise="leave")
    turns = [turn(), turn(chosen_name="mocha", item_name="mocha", transcript="one mocha please"), turn(item_name="", transcript="hm")]
    found = audit(turns, task, TEMPLATE, judge)
    assert found["both"] == {"share": 1.0, "kappa": 1.0}
    assert found["scene"] == {"share": 1.0, "kappa": None}, "chance alone would agree"
    assert found["differing"] == []
    assert found["turns"] == 3


def test_a_judge_that_decides_otherwise_is_told_turn_by_turn(task: Task) -> None:
    found = audit(
        [turn(), turn(item_name="mocha", transcript="mocha")], task, TEMPLATE, Answers(lambda request: reply(scene=1, item="Mocha"))
    )
    assert found["item"]["share"] == 0.5
    assert found["scene"]["share"] == 1.0
    (differing,) = found["differing"]
    assert (differing["first"]["item"], differing["second"]["item"], differing["heard"]) == ("green_tea", "mocha", "one green tea please")


@pytest.mark.parametrize(
    ("answer", "item", "scene"),
    [("no JSON at all", "", 0), (reply(scene=99, item="elephant"), "", 0), (reply(scene="1", item="green tea"), "green_tea", 0)],
)
def test_malformed_and_illegal_decisions_are_taken_as_a_session_takes_them(task: Task, answer: str, item: str, scene: int) -> None:
    found = audit([turn(item_name="mocha")], task, TEMPLATE, Answers(lambda request: answer))
    second = found["differing"][0]["second"]
    assert (second["item"], second["scene"]) == (item, scene)


def test_a_judge_sees_what_the_first_saw(task: Task) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> str:
        asked.append(request)
        return reply()

    audit([turn()], task, TEMPLATE, Answers(answer))
    assert asked[0].offered == ("green_tea", "mocha")
    assert asked[0].heard == "one green tea please"
    assert asked[0].moves[0][0] == 1
    assert "- green_tea" in asked[0].prompt


def test_unanswered_turns_are_counted_and_a_dead_judge_is_told(task: Task) -> None:
    answers = iter([reply(scene=1, item="green_tea"), Failure("judge", "tired")])
    found = audit([turn(), turn()], task, TEMPLATE, Answers(lambda request: next(answers)))
    assert (found["turns"], found["unanswered"]) == (1, 1)
    with pytest.raises(RapportError, match="tired"):
        audit([turn()], task, TEMPLATE, Answers(lambda request: Failure("judge", "tired")))

    def die(request: Any) -> str:
        raise ConnectionError("gone")

    with pytest.raises(RapportError, match="gone"):
        audit([turn()], task, TEMPLATE, Answers(die))


def test_failed_turns_are_not_asked_about(task: Task) -> None:
    assert audit([turn(failed="ears: gone")], task, TEMPLATE, Answers(lambda request: reply()))["turns"] == 0


def test_kappa_takes_off_chance() -> None:
    assert agreement(["a", "a", "b", "b"], ["a", "a", "b", "a"]) == {"share": 0.75, "kappa": pytest.approx(0.5)}
    assert agreement([], []) == {"share": None, "kappa": None}
