"""Sentences that any voice can say and the embedded recogniser can spell."""

import numpy as np

from rapport.datasets.synthetic.sentences import sentence
from rapport.models.backends.asr import pocketsphinx


def test_sentences_vary_and_every_word_is_in_the_dictionary() -> None:
    rng = np.random.default_rng(0)
    made = [sentence(rng) for _ in range(300)]
    assert len(set(made)) > 250
    assert all(text[0].isupper() and text[-1].isalpha() for text in made)
    pocketsphinx.load(sentences=made)
