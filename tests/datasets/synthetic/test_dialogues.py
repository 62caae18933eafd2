"""Made dialogues can be answered from the speech alone: history and words are the same in both variants."""

from collections import Counter

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.datasets.dialogues.emosc import EMOTION_OF, parse_line, to_jsonl
from rapport.datasets.synthetic.dialogues import REPLIES, make_dialogues, reply_to
from rapport.datasets.synthetic.sentences import THINGS, sentences, thing_of

FIVE = tuple(EMOTION_OF.values())
SPOKEN = dict.fromkeys(sentences(60, np.random.default_rng(0)), FIVE)


def test_every_line_is_in_order_and_asks_for_the_reply_that_its_emotion_and_words_decide() -> None:
    made = make_dialogues(SPOKEN, seed=3)
    assert [parse_line(n, line) for n, line in enumerate(to_jsonl(made).splitlines())] == made
    for scenario in made:
        assert scenario.current[0].text == scenario.current[1].text
        for current, reply in zip(scenario.current, scenario.reply, strict=True):
            assert reply == reply_to(current.text.rstrip("."), current.emotion or "")
        assert scenario.reply[0] != scenario.reply[1]
    assert make_dialogues(SPOKEN, seed=3) == made
    assert make_dialogues(SPOKEN, seed=4) != made


def test_each_emotion_is_as_often_the_first_variant_as_the_second() -> None:
    made = make_dialogues(SPOKEN, seed=0)
    for variant in (0, 1):
        assert Counter(s.current[variant].emotion for s in made) == dict.fromkeys(FIVE, 60)


def test_only_emotions_in_which_a_sentence_is_spoken_are_used() -> None:
    text, other, *_ = SPOKEN
    made = make_dialogues({text: ("sad", "angry"), other: ("happy",)}, seed=0)
    assert {t.emotion for s in made for t in s.current} == {"sad", "angry"}
    assert {s.current[0].text for s in made} == {f"{text}."}


def test_there_is_a_reply_for_every_emotion_and_topic_and_all_differ() -> None:
    assert all(REPLIES[emotion].keys() == THINGS.keys() for emotion in FIVE)
    words = [words for replies in REPLIES.values() for _, words in replies.values()]
    assert len(set(words)) == len(words) == 30
    assert all("{thing}" in w for w in words)


def test_a_sentence_that_is_not_of_the_grammar_is_refused() -> None:
    assert thing_of("All rivers run to the sea.") is None
    with pytest.raises(RapportError, match="sentence of the grammar"):
        make_dialogues({"All rivers run to the sea": FIVE}, seed=0)
