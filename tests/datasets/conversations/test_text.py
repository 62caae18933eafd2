"""Texts lose their typography, and nothing else."""

import pytest

from rapport.datasets.conversations.text import clean, words_of


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("It’s “fine”…", 'It\'s "fine"...'),
        ("uh—Wait–no", "uh - Wait-no"),
        ("It\x92s \x93fine\x94\x85", 'It\'s "fine"...'),
        ("  two \n lines\u00a0here ", "two lines here"),
        ("cafe\u0301", "café"),
        ("y'know? 'Kay.", "y'know? 'Kay."),
    ],
)
def test_typographic_marks_become_plain(given: str, wanted: str) -> None:
    assert clean(given) == wanted
    assert clean(wanted) == wanted


def test_words_are_the_same_however_a_line_is_written_down() -> None:
    assert words_of("I’ve NEVER—never!—seen it…") == words_of("ive never never seen it") == ("ive", "never", "never", "seen", "it")
    assert words_of("... !") == ()
