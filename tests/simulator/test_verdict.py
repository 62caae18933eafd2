"""A judge's reply, whatever it is, gives a verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.simulator.verdict import MAY_I_HELP, Verdict, read_verdict

WHOLE = '{"response_text": "Here you are.", "next_scene_id": 1, "next_scene_reason": "served", "item_name": "egg"}'


@pytest.mark.parametrize("reply", [WHOLE, f"Sure!\n```json\n{WHOLE}\n```\nAnything else?", f"\ufeff {WHOLE} "])
def test_the_object_is_found_in_prose(reply: str) -> None:
    assert read_verdict(reply) == Verdict("Here you are.", 1, "egg", "served", None)


def test_what_is_null_or_left_out_is_absent() -> None:
    assert read_verdict('{"response_text": "Hm?", "next_scene_id": null, "item_name": null}') == Verdict("Hm?", None, None, None, None)


def test_a_nested_object_does_not_end_the_reply() -> None:
    verdict = read_verdict('{"response_text": "a {b} c", "extra": {"item_name": "tea"}, "item_name": "egg"}')
    assert (verdict.response_text, verdict.item_name) == ("a {b} c", "egg")


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no",
        "}{",
        '{"response_text": "Here',
        WHOLE[:-1],
        f"{WHOLE} or {WHOLE}",
        "{'response_text': 'x'}",
        "[1, 2]",
        "null",
        "{" * 9 + "}" * 9,
    ],
)
def test_what_cannot_be_parsed_hands_over_nothing_and_stays(reply: str) -> None:
    verdict = read_verdict(reply)
    assert (verdict.response_text, verdict.next_scene_id, verdict.item_name, verdict.reason) == (MAY_I_HELP, None, None, None)
    assert verdict.problem


def test_deep_nesting_is_no_danger() -> None:
    assert read_verdict('{"a":' * 100_000 + "1" + "}" * 100_000).problem
    assert read_verdict('{"next_scene_id": ' + "9" * 5000 + "}").problem


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ('"item_name": ["egg"]', "item_name"),
        ('"item_name": 3', "item_name"),
        ('"next_scene_id": true', "next_scene_id"),
        ('"next_scene_id": 1.5', "next_scene_id"),
        ('"next_scene_id": {"id": 1}', "next_scene_id"),
        ('"next_scene_reason": 1', "next_scene_reason"),
    ],
)
def test_a_part_of_the_wrong_type_counts_as_absent(part: str, problem: str) -> None:
    verdict = read_verdict('{"response_text": "Hm?", ' + part + "}")
    assert (verdict.response_text, verdict.next_scene_id, verdict.item_name, verdict.reason) == ("Hm?", None, None, None)
    assert verdict.problem
    assert problem in verdict.problem


def test_a_text_of_the_wrong_type_is_replaced() -> None:
    assert read_verdict('{"response_text": 5, "item_name": "egg"}').response_text == MAY_I_HELP
    assert read_verdict('{"item_name": "egg"}').item_name == "egg"


def test_a_scene_in_quotes_stays_a_string_for_the_session_to_judge() -> None:
    assert read_verdict('{"response_text": "a", "next_scene_id": "1"}').next_scene_id == "1"
    assert read_verdict('{"response_text": "a", "next_scene_id": 1.0}').next_scene_id == 1


def test_half_a_surrogate_pair_can_be_written() -> None:
    read_verdict('{"response_text": "\\ud800"}').response_text.encode()


@given(st.text() | st.text(alphabet='{}[]":,\\ u0d8einfNaN1-'))
def test_no_reply_raises(reply: str) -> None:
    verdict = read_verdict(reply)
    assert isinstance(verdict.response_text, str)
