"""Corpus cards: licence, languages, label map, expected counts and citation, one YAML file a corpus in `datasets/cards/`."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import Field, field_validator

from rapport.core.config import Config, read_config
from rapport.core.emotions import check_emotion
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance

_CARDS = Path(__file__).resolve().parent / "cards"


class Expected(Config):
    """What a complete copy holds; a part of it is fine and only reported."""

    utterances: int | None = None
    """Rows with the default options."""
    speakers: int | None = None
    """Different speakers."""
    emotions: dict[str, int] = Field(default_factory=dict)
    """Rows of each canonical emotion."""


class Card(Config):
    """The card of one corpus."""

    title: str
    """The corpus' full name."""
    licence: str
    """Licence by its usual short name."""
    source: str
    """Where to get it."""
    citation: str
    """What to cite, in one paragraph."""
    languages: tuple[str, ...] = ()
    """BCP-47 tags."""
    label_map: dict[str, str] = Field(default_factory=dict)
    """The corpus' own label to the canonical emotion; empty for a corpus without emotions."""
    label_map_of: str | None = None
    """Name of another card whose label map this one shares."""
    fixed_sentences: bool = False
    """Whether every speaker says the same few sentences, so that they cannot be kept apart by the split."""
    known_faults: dict[str, str] = Field(default_factory=dict)
    """Published files that are known to be unusable, by name, with the fault."""
    expected: Expected = Expected()
    """Counts of a complete copy."""

    @field_validator("label_map")
    @classmethod
    def _canonical(cls, labels: dict[str, str]) -> dict[str, str]:
        try:
            return {raw: check_emotion(emotion) for raw, emotion in labels.items()}
        except RapportError as error:
            raise ValueError(str(error)) from error


@cache
def read_card(corpus: str) -> Card:
    """The card of a corpus.

    Raises RapportError when there is none of that name.
    """
    path = _CARDS / f"{corpus}.yaml"
    if not path.is_file():
        raise RapportError(f"no card for corpus {corpus!r}: wanted the file datasets/cards/{corpus}.yaml")
    card = read_config(Card, path)
    return card if card.label_map_of is None else card.model_copy(update={"label_map": read_card(card.label_map_of).label_map})


def has_card(corpus: str) -> bool:
    """Whether there is a card of that name: a user's own corpus has none."""
    return (_CARDS / f"{corpus}.yaml").is_file()


def count_differences(card: Card, rows: Iterable[Utterance]) -> list[str]:
    """What differs from a complete copy, one sentence each; empty when the copy is complete or nothing is known of it."""
    listed = list(rows)
    emotions = Counter(r.emotion for r in listed if r.emotion)
    found = {"utterances": len(listed), "speakers": len({r.speaker_id for r in listed if r.speaker_id})}
    wanted = {"utterances": card.expected.utterances, "speakers": card.expected.speakers}
    found |= {emotion: emotions[emotion] for emotion in card.expected.emotions}
    wanted |= card.expected.emotions
    return [
        f"{name}: {found[name]} of {count} in the complete corpus" for name, count in wanted.items() if count not in (None, found[name])
    ]
