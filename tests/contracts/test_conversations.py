"""What every reader of conversations promises, checked on the example that it writes itself."""

from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from rapport.core import plugins
from rapport.core.conversations import LABELS
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS
from rapport.datasets.conversations.card import read_conversation_card
from rapport.datasets.conversations.corpora import own
from rapport.datasets.conversations.records import ReadOptions, key_of
from rapport.datasets.conversations.text import clean

CORPORA = plugins.available("datasets.conversations.corpora")


@pytest.fixture(params=CORPORA)
def corpus(request: pytest.FixtureRequest) -> ModuleType:
    return plugins.load("datasets.conversations.corpora", request.param)


@pytest.fixture
def example(corpus: ModuleType, tmp_path: Path) -> Path:
    corpus.write_example(tmp_path)
    return tmp_path


def name_of(corpus: ModuleType) -> str:
    return corpus.__name__.rpartition(".")[2]


def test_there_are_the_corpora_of_the_specification() -> None:
    assert set(CORPORA) == {"meld", "emorynlp", "iemocap", "own"}


def test_options_are_configuration_whose_defaults_work(corpus: ModuleType) -> None:
    assert issubclass(corpus.Options, ReadOptions)
    corpus.Options()


def test_the_example_is_read_without_a_bad_row(corpus: ModuleType, example: Path) -> None:
    found = corpus.read(str(example))
    assert not found.bad
    assert found.corpus == name_of(corpus)
    assert {"train", "validation"} <= {c.split for c in found.conversations}
    assert set(found.absent) == set(SPLITS) - {c.split for c in found.conversations}
    assert found == corpus.read(str(example)), "reading twice gives the same"


def test_conversations_keep_the_contract_of_records(corpus: ModuleType, example: Path) -> None:
    found = corpus.read(str(example))
    assert max(Counter(key_of(c) for c in found.conversations).values()) == 1
    for conversation in found.conversations:
        assert conversation.corpus == found.corpus
        assert conversation.split in SPLITS
        assert [line.turn for line in conversation.lines] == list(range(len(conversation.lines)))
        assert max(Counter(line.line_id for line in conversation.lines).values()) == 1
        for line in conversation.lines:
            assert line.label is None or line.label in found.labels
            assert line.text == clean(line.text) != ""
            assert line.speaker


def test_only_the_wanted_sides_are_read(corpus: ModuleType, example: Path) -> None:
    found = corpus.read(str(example), corpus.Options(splits=("train",)))
    assert {c.split for c in found.conversations} == {"train"}


def test_a_file_uri_reads_like_the_path(corpus: ModuleType, example: Path) -> None:
    assert corpus.read(f"file://{example}").conversations == corpus.read(str(example)).conversations


def test_a_folder_without_conversations_is_an_error_that_names_it(corpus: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RapportError) as caught:
        corpus.read(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(RapportError):
        corpus.read(str(tmp_path / "nowhere"))


def test_any_corpus_can_be_written_as_ones_own_and_read_back(corpus: ModuleType, example: Path, tmp_path: Path) -> None:
    found = corpus.read(str(example))
    own.write(str(tmp_path / "copy"), found)
    again = own.read(str(tmp_path / "copy"))
    assert again.conversations == found.conversations
    assert (again.corpus, again.labels, again.clues) == (found.corpus, found.labels, found.clues)


@pytest.mark.parametrize("name", LABELS)
def test_cards_name_licence_and_counts_that_add_up(name: str) -> None:
    card = read_conversation_card(name)
    assert card.licence
    assert card.source
    assert card.citation
    assert set(card.expected) == set(SPLITS)
    assert set(card.expected["test"].labels) == set(LABELS[name])


@pytest.mark.parametrize(
    ("name", "neutral", "floor"), [("meld", "neutral", 31.3), ("emorynlp", "Neutral", 13.3), ("iemocap", "neutral", 9.1)]
)
def test_always_answering_neutral_reaches_the_published_floor_of_weighted_f1(name: str, neutral: str, floor: float) -> None:
    from sklearn.metrics import f1_score

    counts = read_conversation_card(name).expected["test"].labels
    gold = [label for label, number in counts.items() for _ in range(number)]
    score = f1_score(gold, [neutral] * len(gold), average="weighted", zero_division=0)
    assert round(100 * score, 1) == floor
