"""Texts that stand in for what a published language model knows."""

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.conversations.corpora import meld
from rapport.datasets.conversations.knowledge import FILE, Known, knowledge_beside, write_knowledge


@pytest.fixture
def corpus(tmp_path):
    meld.write_example(tmp_path)
    return str(tmp_path), meld.read(str(tmp_path), meld.Options())


def test_texts_come_back_as_they_were_written(corpus):
    root, found = corpus
    (first, *_) = found.of("train")
    known = [Known("Rain is wet."), Known("It rains.", first.dialogue_id, first.lines[0].line_id)]
    write_knowledge(f"{root}/{FILE}", known)
    assert knowledge_beside(root, found) == known


def test_a_corpus_without_such_a_file_brings_none(corpus):
    assert knowledge_beside(*corpus) == []


def test_what_is_about_a_line_outside_the_training_side_is_left_out(corpus):
    root, found = corpus
    learned = {c.dialogue_id for c in found.of("train")}
    asked = [Known("It rains.", c.dialogue_id, c.lines[0].line_id) for c in found.conversations if c.dialogue_id not in learned]
    write_knowledge(f"{root}/{FILE}", [Known("It rains.", "no such dialogue", "0"), *asked, Known("Rain is wet.")])
    assert knowledge_beside(root, found) == [Known("Rain is wet.")]


def test_a_line_with_other_keys_is_refused_by_number(corpus):
    root, found = corpus
    with open(f"{root}/{FILE}", "w") as file:
        file.write('{"text": "fine"}\n{"words": "not fine"}\n')
    with pytest.raises(RapportError, match="line 2: keys words, wanted text, dialogue_id, line_id"):
        knowledge_beside(root, found)
