"""Which label an answer means, by our mapping and by the published one."""

import pytest

from rapport.core.conversations import LABELS
from rapport.models.erc.mapping import INVALID, SYNONYMS, compat_label, to_label

MELD, EMORY, IEMOCAP = (LABELS[name] for name in ("meld", "emorynlp", "iemocap"))


@pytest.mark.parametrize("corpus", LABELS)
def test_every_label_means_itself_in_both_mappings(corpus: str) -> None:
    for label in LABELS[corpus]:
        assert to_label(label, LABELS[corpus], corpus).how == "exact"
        assert to_label(f" {label}\n", LABELS[corpus], corpus).label == label
        assert to_label(f"{label.upper()}.", LABELS[corpus], corpus).label == label
        assert compat_label(label, LABELS[corpus]) == (label, False)


@pytest.mark.parametrize(
    ("text", "corpus", "label", "how"),
    [
        ("The label is Joyful.", "meld", "joyful", "word"),
        ("SAD, so very sad", "meld", "sad", "word"),
        ("happiness", "meld", "joyful", "synonym"),
        ("angry", "emorynlp", "Mad", "synonym"),
        ("She is frustrated", "iemocap", "frustrated", "word"),
        ("sad or angry", "meld", INVALID, "ambiguous"),
        ("joy and fear", "emorynlp", INVALID, "ambiguous"),
        ("sadly", "meld", INVALID, "invalid"),
        ("Madly", "emorynlp", INVALID, "invalid"),
        ("sadnesses", "meld", INVALID, "invalid"),
        ("", "meld", INVALID, "invalid"),
        ("joyful", "", "joyful", "exact"),
        ("joy", "", INVALID, "invalid"),
    ],
)
def test_an_answer_is_mapped_by_whole_words_or_not_at_all(text: str, corpus: str, label: str, how: str) -> None:
    mapped = to_label(text, LABELS.get(corpus, MELD), corpus)
    assert (mapped.label, mapped.how) == (label, how)


def test_a_word_of_the_label_list_goes_before_a_synonym() -> None:
    assert to_label("sad, not happy", MELD, "meld").label == "sad"


def test_an_answer_with_reasons_is_read_from_its_brackets_or_its_last_line() -> None:
    text = "He was sad, then angry.\n"
    assert to_label(f"{text}<fear>", MELD, "meld", reasons=True).how == "bracket"
    assert to_label(f"{text}fear", MELD, "meld", reasons=True).label == "fear"
    assert to_label(text + "who knows", MELD, "meld", reasons=True).label == INVALID
    assert to_label("", MELD, "meld", reasons=True).label == INVALID


def test_a_user_brings_labels_of_several_words_and_synonyms() -> None:
    labels = ("very sad", "sad")
    assert to_label("Very sad!", labels).label == "very sad"
    assert to_label("glum", labels, synonyms={"Glum": "sad"}).label == "sad"
    assert to_label("glum", labels, synonyms={"glum": "elsewhere"}).label == INVALID


def test_no_synonym_is_a_label_of_its_own_corpus_and_all_mean_one() -> None:
    for corpus, table in SYNONYMS.items():
        assert set(table.values()) <= set(LABELS[corpus])
        assert not set(table) & {label.casefold() for label in LABELS[corpus]}
        assert all(to_label(word, LABELS[corpus], corpus).label == label for word, label in table.items())


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [
        # Found in the middle of words, case by case.
        ("Madly", EMORY, "Mad"),
        ("sadness", MELD, "sad"),
        ("I am frustrated and sad", IEMOCAP, "frustrated"),
        ("unhappy", IEMOCAP, "happy"),
        ("not sad but angry", MELD, "sad"),
    ],
)
def test_the_published_mapping_takes_the_first_label_that_begins_anywhere(text: str, labels: tuple[str, ...], label: str) -> None:
    assert compat_label(text, labels) == (label, False)


@pytest.mark.parametrize(
    ("text", "labels", "label"),
    [("sad", EMORY, "Mad"), ("", EMORY, "Mad"), ("happy", EMORY, "Mad"), ("joy", MELD, "sad"), ("", MELD, "sad")],
)
def test_the_published_mapping_guesses_by_edit_distance_and_takes_the_earlier_of_equals(
    text: str, labels: tuple[str, ...], label: str
) -> None:
    assert compat_label(text, labels) == (label, True)


def test_the_published_mapping_takes_the_longest_label_at_a_place_and_none_above_eleven_letters() -> None:
    assert compat_label("saddest", ("sad", "saddest")) == ("saddest", False)
    assert compat_label("disappointment", ("disappointment", "mad")) == ("disappointment", True)
    assert compat_label("overwhelmed", ("overwhelmed", "mad")) == ("overwhelmed", False)
