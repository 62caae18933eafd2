"""The form of an answer, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.core.emotions import EMOTIONS as VOCABULARY
from rapport.core.errors import RapportError
from rapport.models.emosds.answer import EMOTIONS, TAGS, Answer, format_answer, parse_answer
from rapport.models.emosds.tokens import speech_tokens

SPOKEN = "I missed the last bus."
REPLY = "That is rough, shall I look for a night train?"
TEXT = f"<sadness> {SPOKEN} EmoSDS: <neutral> {REPLY}"


def test_the_published_example_is_read_into_four_fields() -> None:
    assert parse_answer(TEXT, 3) == Answer("sad", SPOKEN, "neutral", REPLY)


def test_the_tags_of_the_five_are_the_published_ones_in_their_order() -> None:
    assert [TAGS[e] for e in EMOTIONS] == ["<anger>", "<happiness>", "<neutral>", "<sadness>", "<surprise>"]


def test_every_emotion_has_a_tag_of_its_own() -> None:
    assert set(TAGS) == set(VOCABULARY)
    assert len(set(TAGS.values())) == len(VOCABULARY)
    assert TAGS["calm"] == "<calm>"


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_is_written_is_read_back(stage: int) -> None:
    text = format_answer(stage, SPOKEN, "surprised", "happy", REPLY)
    expected = {1: Answer(None, SPOKEN), 2: Answer("surprised", SPOKEN), 3: Answer("surprised", SPOKEN, "happy", REPLY)}
    assert parse_answer(text, stage) == expected[stage]


@pytest.mark.parametrize("text", [f"<sadness>{SPOKEN}EmoSDS:<neutral>{REPLY}", f"  <sadness>  {SPOKEN}\n EmoSDS:  <neutral>   {REPLY} \n"])
def test_spaces_may_be_missing_or_doubled(text: str) -> None:
    assert parse_answer(text, 3) == Answer("sad", SPOKEN, "neutral", REPLY)


@pytest.mark.parametrize(
    ("text", "stage", "reason"),
    [
        ("", 1, "nothing was transcribed"),
        ("", 2, "no tag before the transcript"),
        (SPOKEN, 2, "no tag before the transcript"),
        ("<sadness>", 2, "the transcript is empty"),
        (f"<joy> {SPOKEN}", 2, "<joy> is no tag"),
        (f"<calm> {SPOKEN}", 2, "<calm> is no tag"),
        (f"<sadness> <anger> {SPOKEN}", 2, "a tag among the words of the transcript"),
        (TEXT, 2, "'EmoSDS:' follows the transcript"),
        (f"<sadness> {SPOKEN}", 3, "no 'EmoSDS:'"),
        (f"<sadness> {SPOKEN} EmoSDS: {REPLY}", 3, "no tag before the reply"),
        (f"<sadness> {SPOKEN} EmoSDS: <neutral>", 3, "the reply is empty"),
        (f"{SPOKEN} EmoSDS: {REPLY}", 3, "no tag before the transcript"),
    ],
)
def test_malformed_text_is_told_and_does_not_raise(text: str, stage: int, reason: str) -> None:
    assert reason in (parse_answer(text, stage).malformed or "")


@pytest.mark.parametrize("mark", [*speech_tokens(13, EMOTIONS), "user:", "EmoSDS:"])
def test_a_mark_among_words_is_malformed_in_every_field_of_every_stage(mark: str) -> None:
    words = f"hello {mark} you"
    answers = [parse_answer(words, 1), parse_answer(f"{mark} hello", 1), parse_answer(f"hello{mark}", 1)]
    answers += [parse_answer(f"<sadness> {words}", 2), parse_answer(f"<sadness> {words} EmoSDS: <neutral> hm", 3)]
    answers.append(parse_answer(f"<sadness> hm EmoSDS: <neutral> {words}", 3))
    for answer in answers:
        assert answer.malformed
        assert "hello" in (answer.reply or "") + (answer.transcript or "")


@pytest.mark.parametrize(
    ("text", "stage", "reason"),
    [
        ("hello <12><13>", 1, "a unit among the words of the transcript"),
        ("<anger> hello", 1, "a tag among the words of the transcript"),
        ("<sadness> <12> hello <residual>", 2, "a unit among the words of the transcript"),
        (f"<sadness> {SPOKEN} EmoSDS: <neutral> <residual>", 3, "'<residual>' among the words of the reply"),
        (f"<sadness> {SPOKEN} EmoSDS: <neutral> user: {REPLY}", 3, "'user:' among the words of the reply"),
    ],
)
def test_which_mark_it_was_and_where_is_told(text: str, stage: int, reason: str) -> None:
    assert parse_answer(text, stage).malformed == reason


def test_what_only_looks_like_a_mark_is_a_word() -> None:
    for words in ("1 < 2 > 0", "the user asked", "<joy> ahead", "at <3"):
        assert parse_answer(f"<sadness> {words}", 2) == Answer("sad", words)


def test_what_can_be_read_of_a_malformed_answer_is_read() -> None:
    answer = parse_answer(f"{SPOKEN} EmoSDS: <neutral> {REPLY}", 3)
    assert (answer.user_emotion, answer.transcript, answer.reply_emotion, answer.reply) == (None, SPOKEN, "neutral", REPLY)


def test_a_model_with_more_emotions_may_name_them() -> None:
    assert parse_answer(f"<calm> {SPOKEN}", 2, ("calm", "sad")).user_emotion == "calm"


@given(st.text(), st.sampled_from([1, 2, 3]))
def test_any_text_is_read_without_raising(text: str, stage: int) -> None:
    answer = parse_answer(text, stage)
    whole = (answer.transcript, answer.user_emotion or stage == 1, (answer.reply and answer.reply_emotion) or stage < 3)
    assert all(whole) or answer.malformed


@given(st.text(st.characters(codec="ascii", exclude_characters="<>:"), min_size=1).filter(lambda t: t.strip()))
def test_any_words_survive(words: str) -> None:
    text = " ".join(words.split())
    assert parse_answer(format_answer(3, text, "sad", "happy", text), 3) == Answer("sad", text, "happy", text)


def test_a_missing_field_of_an_answer_is_named() -> None:
    with pytest.raises(RapportError, match="user_emotion is None: stage 2"):
        format_answer(2, SPOKEN)
    with pytest.raises(RapportError, match="reply is None"):
        format_answer(3, SPOKEN, "sad", "sad")
    with pytest.raises(RapportError, match="'joyful' has no tag"):
        format_answer(2, SPOKEN, "joyful")
