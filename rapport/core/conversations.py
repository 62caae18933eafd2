"""Conversations in writing whose lines carry an emotion, and what is asked of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rapport.core.emotions import EMOTIONS

LABELS: Mapping[str, tuple[str, ...]] = {
    "meld": ("neutral", "surprise", "fear", "sad", "joyful", "disgust", "angry"),
    "emorynlp": ("Joyful", "Mad", "Peaceful", "Neutral", "Sad", "Powerful", "Scared"),
    "iemocap": ("happy", "sad", "neutral", "angry", "excited", "frustrated"),
}
"""Labels of each corpus as its benchmark writes them, in the order of their class indices (CoE, spec section 1.3)."""

_CANONICAL: Mapping[str, str] = {"joyful": "happy", "mad": "angry", "surprise": "surprised", "scared": "fearful", "fear": "fearful"}

TASKS = ("role_play", "speaker", "steer", "erc")
"""To write a character's next line, to tell who says a line, to reason before the label, and to give the label alone."""


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody says in a conversation."""

    turn: int
    """Its place in the conversation, from 0."""
    line_id: str
    """The corpus' own id of it, unique within the conversation."""
    speaker: str
    text: str
    label: str | None = None
    """One of the labels of the corpus; None where the line is only context."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Lines in the order in which they were said."""

    dialogue_id: str
    """Unique within corpus and split."""
    corpus: str
    """Names the labels: a key of `LABELS`, or a user's own corpus, whose labels come with it."""
    split: str
    """`train`, `validation` or `test`."""
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Clues:
    """What is known of the people and the place, beside what they say."""

    personas: Mapping[str, str] = field(default_factory=dict)
    """Speaker to a short description."""
    scenes: Mapping[str, str] = field(default_factory=dict)
    """`<split>/<dialogue_id>` to one line about the place and the occasion."""
    digest: str = ""
    """sha256 over both; empty where there are none."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """`personas` and `scenes` to where they come from; empty where nobody said."""


@dataclass(frozen=True, slots=True)
class ErcExample:
    """One question about a line, as text."""

    example_id: str
    """`corpus/split/dialogue/turn/task`: everything is joined by it, never by position."""
    task: str
    """One of `TASKS`."""
    input: str
    """The prompt."""
    target: str
    """What is to be written."""
    gold: str
    """The label of the line, the speaker's name, or the line itself: what answers are judged by."""
    labels: tuple[str, ...] = ()
    """Answers to choose from, in canonical order; empty where the answer is free."""
    meta: Mapping[str, object] = field(default_factory=dict)
    """`template`, `window`, `clues`, and what was cut."""


def canonical_emotion(label: str) -> str | None:
    """The emotion of `rapport.core.emotions` that a label means; None where the vocabulary has no such emotion."""
    name = _CANONICAL.get(label.casefold(), label.casefold())
    return name if name in EMOTIONS else None
