"""The vocabulary: one order that never changes, and errors that name the nearest emotion."""

import pytest

from rapport.core.emotions import EMOTION_COLOURS, EMOTIONS, SER_EMOTIONS, check_emotion, in_vocabulary_order
from rapport.core.errors import RapportError


def test_the_first_eight_are_the_order_of_ravdess() -> None:
    # Saved models store indices: this order is a contract.
    assert SER_EMOTIONS == ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
    assert EMOTIONS[:8] == SER_EMOTIONS


def test_no_emotion_occurs_twice_and_each_has_a_colour_of_its_own() -> None:
    assert len(set(EMOTIONS)) == len(EMOTIONS)
    assert list(EMOTION_COLOURS) == list(EMOTIONS)
    assert len(set(EMOTION_COLOURS.values())) == len(EMOTIONS)


def test_an_emotion_of_the_vocabulary_passes() -> None:
    assert check_emotion("fearful") == "fearful"


@pytest.mark.parametrize(("wrong", "right"), [("Happy", "happy"), ("fear", "fearful"), ("surprise", "surprised")])
def test_another_word_is_refused_with_the_nearest_emotion(wrong: str, right: str) -> None:
    with pytest.raises(RapportError, match=f"{wrong}.*did you mean '{right}'"):
        check_emotion(wrong)


def test_a_word_like_no_emotion_is_refused_without_a_guess() -> None:
    with pytest.raises(RapportError) as caught:
        check_emotion("xyzzy")
    assert "did you mean" not in str(caught.value)


def test_emotions_are_put_in_order_and_counted_once() -> None:
    assert in_vocabulary_order(["sad", "neutral", "sad", "angry"]) == ("neutral", "sad", "angry")
    with pytest.raises(RapportError):
        in_vocabulary_order(["sad", "nope"])
