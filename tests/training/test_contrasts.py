from collections.abc import Sequence

import pytest

from rapport.training.contrasts import ContrastTally
from rapport.training.text_metrics import AnswerPair

WANTED = (("sad", "neutral", "Oh no, all of it?"), ("happy", "happy", "What a day you had!"))
RIGHT = WANTED
DEAF = (WANTED[0], WANTED[0])


def variants(given: Sequence[tuple[str, str | None, str | None]], speaker: str | None = "s") -> list[AnswerPair]:
    """Both variants of a scenario with these answers."""
    return [
        AnswerPair(
            f"{speaker}{v}", speaker, "so", *wanted, given_emotion=answer[0], given_reply_emotion=answer[1], given_reply_text=answer[2]
        )
        for v, (wanted, answer) in enumerate(zip(WANTED, given, strict=True))
    ]


def tallied(given: dict[tuple[str, str | None], Sequence[tuple[str, str | None, str | None]]]) -> ContrastTally:
    tally = ContrastTally()
    for (scenario, speaker), answers in given.items():
        for pair in variants(answers, speaker):
            tally.add(scenario, pair)
    return tally


def test_who_does_not_hear_gets_no_pair_right():
    report = tallied({("7", "a"): RIGHT, ("7", "b"): DEAF}).report(resamples=100)
    assert report is not None
    assert (report["pairs"], report["differ"], report["differ_in_text"]) == (2, 2, 2)
    for name in ("heard", "reply_follows_emotion", "reply_text_follows"):
        assert report[name]["value"] == 0.5, name
        assert report[name]["low"] <= 0.5 <= report[name]["high"]


def test_replies_need_not_be_the_wanted_words_to_follow():
    near = (("sad", "neutral", "Oh no, not all of it."), ("happy", "neutral", "What a day!"))
    report = tallied({("7", "a"): near, ("8", "b"): near}).report(resamples=100)
    assert report is not None
    assert report["reply_text_follows"]["value"] == 1
    assert report["reply_follows_emotion"]["value"] == 0


def test_an_answer_that_cannot_be_read_follows_nothing():
    report = tallied({("7", "a"): (("sad", None, None), ("happy", None, None))}).report(resamples=100)
    assert report is not None
    assert report["heard"]["value"] == 1
    assert report["reply_follows_emotion"]["value"] == report["reply_text_follows"]["value"] == 0


def test_of_a_single_speaker_scenarios_are_drawn_again():
    report = tallied({("7", "a"): RIGHT, ("8", "a"): DEAF, ("9", "a"): RIGHT}).report(resamples=200)
    assert report is not None
    assert report["heard"]["low"] < report["heard"]["value"] < report["heard"]["high"]


def test_a_difference_is_measured_on_the_same_pairs():
    places = [(str(n), "ab"[n % 2]) for n in range(6)]
    found = tallied(dict.fromkeys(places, RIGHT)).minus(tallied(dict.fromkeys(places, DEAF)), resamples=100)
    assert found["reply_follows_emotion"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert ContrastTally().minus(ContrastTally()) == {}
    with pytest.raises(ValueError, match="cannot be compared"):
        tallied(dict.fromkeys(places, RIGHT)).minus(tallied({places[0]: RIGHT}))


def test_half_a_pair_and_equal_emotions_are_no_contrast():
    tally = ContrastTally()
    assert tally.report() is None
    tally.add("7", variants(RIGHT)[0])
    assert tally.report() is None
    tally.add("7", variants(RIGHT)[0])
    assert tally.report() is None


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (3, 1, 2, 0)])
def test_every_take_of_a_variant_finds_a_partner(order: tuple[int, ...]):
    takes = [*variants(RIGHT), *variants(DEAF)]
    tally = ContrastTally()
    for place in order:
        tally.add("7", takes[place])
    report = tally.report(resamples=10)
    assert report is not None
    assert report["pairs"] == 2
    assert report["heard"]["value"] == 0.5
