"""Examples on disk come back as they were, and what may not be trained together is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rapport.core import storage
from rapport.core.conversations import Conversation, ErcExample, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations import examples as stored
from rapport.datasets.conversations.corpora import own
from rapport.datasets.conversations.records import Conversations

EXAMPLE = ErcExample(
    "own/train/1/0/erc", "erc", "A: “Hm”\u2028\nANSWER:", "sad", "sad", ("sad", "glad"), {"window": None, "cut": {"scene": 1}}
)
LONG = "the very same long line of a show"


def store(root: Path, corpus: str, said: dict[str, Sequence[str]], name: str = "") -> stored.ExampleStore:
    """A build of conversations of one line each, with one example."""
    folder = str(root / "features" / "coe" / (name or corpus) / "0")
    talks = [
        Conversation(f"{n}", corpus, side, (Line(0, "0", "A", text, "sad"),))
        for side, texts in said.items()
        for n, text in enumerate(texts)
    ]
    own.write(folder, Conversations(corpus, ("sad", "glad"), talks))
    stored.write_records(stored.examples_path(folder, "erc", "train"), [EXAMPLE])
    told = {"corpus": corpus, "labels": ["sad", "glad"], "name": name or corpus, "digest": "", "made": False, "prompt": {}}
    storage.finish(folder, {"kind": stored.KIND, "counts": {"erc": {"train": 1}}, "absent": {"test": "t.csv"}, **told})
    return stored.open_examples(folder)


def test_examples_come_back_as_they_were(tmp_path: Path) -> None:
    path = str(tmp_path / "some" / "e.jsonl")
    listed = [EXAMPLE, replace(EXAMPLE, example_id="own/train/1/1/erc", labels=(), meta={})]
    stored.write_records(path, listed)
    assert stored.read_records(path) == listed
    stored.write_records(path, [])
    assert stored.read_records(path) == []


def test_a_line_that_is_no_example_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"example_id": "a"}\n')
    with pytest.raises(RapportError, match=r"line 1: keys example_id, wanted example_id, task, input"):
        stored.read_records(str(path))
    with pytest.raises(RapportError, match="does not exist"):
        stored.read_records(str(tmp_path / "absent.jsonl"))


def test_a_build_is_found_and_says_what_it_lacks(tmp_path: Path) -> None:
    built = store(tmp_path, "own", {"train": ["Hm."]})
    assert stored.find_examples(str(tmp_path), "own") == built.folder == stored.find_examples("/nowhere", built.folder)
    assert built.read("erc", "train") == [EXAMPLE]
    assert built.texts() == [EXAMPLE.input, EXAMPLE.target]
    assert built.conversations().of("train")[0].lines[0].text == "Hm."
    assert built.tokenizer_folder is None
    with pytest.raises(RapportError, match=r"no examples of erc for test as t\.csv was not there \(erc: train\)"):
        built.read("erc", "test")
    with pytest.raises(RapportError, match="has no seeds"):
        built.seeds()
    with pytest.raises(RapportError, match="build_coe --name absent"):
        stored.find_examples(str(tmp_path), "absent")
    storage.finish(str(tmp_path), {"kind": "units"})
    with pytest.raises(RapportError, match="wanted a folder that build_coe wrote"):
        stored.open_examples(str(tmp_path))


def test_corpora_that_teach_each_other_s_questions_are_not_mixed(tmp_path: Path) -> None:
    """(h): no shared long utterance across corpora."""
    one = store(tmp_path, "one", {"train": [LONG, "Hm."], "validation": ["What are you doing here at night?"]})
    two = store(tmp_path, "two", {"train": ["Nobody else ever says this long line."], "test": [f"{LONG.upper()}!"]}, name="second")
    stored.check_mixture([one])
    with pytest.raises(RapportError, match=r"1 of 1 long lines of two/test .* stand in one/train.*build one with --apart\.builds second"):
        stored.check_mixture([one, two])
    other = store(tmp_path, "two", {"test": ["Quite another line, that nobody said before."], "train": ["Hm."]}, name="third")
    stored.check_mixture([one, other])
    with pytest.raises(RapportError, match="are both of two"):
        stored.check_mixture([two, other])
    storage.remove(storage.join(other.folder, own.FILE))
    with pytest.raises(RapportError, match="taken in from flat files"):
        stored.check_mixture([one, other])
