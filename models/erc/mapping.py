"""Which label an answer means: the label itself, the label as a word in the text, a synonym of it, or none.

An answer that means no label is `invalid` and counted as wrong. `compat_label` is the published mapping, which finds a label in any text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

from rapport.models.erc.answers import find_label

INVALID = "invalid"
"""Stands for the label of an answer that means none."""

SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "meld": {
        "joy": "joyful",
        "happy": "joyful",
        "happiness": "joyful",
        "sadness": "sad",
        "anger": "angry",
        "mad": "angry",
        "surprised": "surprise",
        "scared": "fear",
        "afraid": "fear",
        "fearful": "fear",
        "disgusted": "disgust",
    },
    "emorynlp": {
        "joy": "Joyful",
        "happy": "Joyful",
        "happiness": "Joyful",
        "anger": "Mad",
        "angry": "Mad",
        "peace": "Peaceful",
        "calm": "Peaceful",
        "sadness": "Sad",
        "power": "Powerful",
        "fear": "Scared",
        "afraid": "Scared",
        "fearful": "Scared",
    },
    "iemocap": {
        "happiness": "happy",
        "joy": "happy",
        "joyful": "happy",
        "sadness": "sad",
        "anger": "angry",
        "mad": "angry",
        "excitement": "excited",
        "frustration": "frustrated",
    },
}
"""Word to label, by corpus: the corpus' own names before they were mapped, and plain forms of the same word. None that could mean two."""

COMPAT_SPAN = 11
"""Longest label, in characters, that the published mapping finds."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The label that an answer means."""

    label: str
    """One of the labels, or `INVALID`."""
    how: Literal["exact", "bracket", "word", "synonym", "ambiguous", "invalid"]
    """What it was found by; `ambiguous` and `invalid` are both `INVALID`, for an answer that names several labels or none."""


def to_label(
    text: str, labels: Sequence[str], corpus: str = "", *, reasons: bool = False, synonyms: Mapping[str, str] | None = None
) -> Mapped:
    """The label that an answer means.

    Looked for in this order: the whole text, letter for letter; with `reasons`, the last label between angle brackets; a label as a word
    of the text, whatever its case; a synonym as a word of the text. Where a step finds different labels, the answer is ambiguous.
    `synonyms` replaces the corpus' own. With `reasons`, words are looked for in the last line alone: reasons weigh several labels.
    """
    if text.strip() in labels:
        return Mapped(text.strip(), "exact")
    if reasons:
        if bracketed := find_label(text, labels):
            return Mapped(bracketed, "bracket")
        text = (text.strip().splitlines() or [""])[-1]
    table = SYNONYMS.get(corpus, {}) if synonyms is None else synonyms
    steps: tuple[tuple[Literal["word", "synonym"], Mapping[str, str]], ...] = (
        ("word", {label.casefold(): label for label in labels}),
        ("synonym", {word.casefold(): label for word, label in table.items() if label in labels}),
    )
    for how, words in steps:
        found = _words_in(text.casefold(), words)
        if len(found) > 1:
            return Mapped(INVALID, "ambiguous")
        if found:
            return Mapped(found.pop(), how)
    return Mapped(INVALID, "invalid")


def _words_in(text: str, words: Mapping[str, str]) -> set[str]:
    """The labels whose words stand in the text; the longest word counts where one begins with another."""
    if not words:
        return set()
    any_word = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return {words[match] for match in re.findall(rf"(?<!\w)(?:{any_word})(?!\w)", text)}


def compat_label(text: str, labels: Sequence[str]) -> tuple[str, bool]:
    """The label that the published evaluation reads from an answer, and whether it had to guess.

    From left to right, at the first place where a label begins, the longest label there: anywhere in a word, case by case. Where none is
    found, the guess: the label that is nearest by edit distance, the earlier one of equals. No answer is ever invalid: `sad` means Mad for
    EmoryNLP and an empty answer sad for MELD.
    """
    for start in range(len(text)):
        here = [label for label in labels if 0 < len(label) <= COMPAT_SPAN and text.startswith(label, start)]
        if here:
            return max(here, key=len), False
    return min(labels, key=lambda label: Levenshtein.distance(text, label)), True
