"""Sentences that any voice can say and the embedded recogniser can spell."""

import numpy as np

from rapport.datasets.synthetic.sentences import THINGS, sentence, sentences, thing_of, vocabulary
from rapport.models.backends.asr import pocketsphinx

# A few of each emotion, in the forms in which they might slip in.
EMOTIONAL = {"angry", "happy", "sad", "glad", "afraid", "love", "hate", "lovely", "terrible", "great", "awful", "cry", "laugh", "joy"}


def test_sentences_vary_and_their_words_are_known() -> None:
    made = sentences(3000, np.random.default_rng(0))
    assert len(set(made)) == 3000
    assert all(text[0].isupper() and text[-1].isalpha() for text in made)
    heard = {word for text in made for word in text.lower().split()}
    assert heard <= vocabulary()
    assert len(heard) > 0.97 * len(vocabulary())


def test_hardly_a_sentence_comes_twice() -> None:
    rng = np.random.default_rng(1)
    made = [sentence(rng) for _ in range(3000)]
    assert len(set(made)) > 2950


def test_there_are_about_500_words_without_emotion_all_in_the_dictionary() -> None:
    words = vocabulary()
    assert 450 <= len(words) <= 550
    assert not words & EMOTIONAL
    pocketsphinx.load(sentences=sorted(words))


def test_every_sentence_names_one_thing_and_its_topic() -> None:
    for text in sentences(500, np.random.default_rng(2)):
        named = [t for words in THINGS.values() for t in words if t in text.lower().split()]
        assert len(named) == 1
        thing, topic = thing_of(text) or ("", "")
        assert thing == named[0]
        assert thing in THINGS[topic]
        assert thing_of(f"{text.upper()}.") == (thing, topic)
