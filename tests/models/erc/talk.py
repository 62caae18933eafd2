"""Short conversations to ask about."""

from collections.abc import Sequence

from rapport.core.conversations import LABELS, Clues, Conversation, Line

MOVING = (
    ("Nora", "The van leaves in ten minutes.", "angry"),
    ("Eli", "I only packed the kettle.", "neutral"),
    ("Nora", "Then you are carrying the sofa alone.", "angry"),
    ("Eli", "Oh no!", "fear"),
    ("Tess", "You hid it in the freezer?", "surprise"),
)
CLUES = Clues(
    {"Nora": "impatient line cook.", "Eli": "her easy-going brother.", "Tess": "a neighbour who comes too often.", "Olga": "owns the van."},
    {"train/d1": "a flat on moving day."},
    "digest",
)
MELD = LABELS["meld"]


def talk(
    said: Sequence[tuple[str, str, str | None]] = MOVING, *, corpus: str = "meld", split: str = "train", dialogue_id: str = "d1"
) -> Conversation:
    """A conversation of (speaker, text, label)."""
    lines = (Line(turn, f"u{turn}", speaker, text, label) for turn, (speaker, text, label) in enumerate(said))
    return Conversation(dialogue_id, corpus, split, tuple(lines))


def count_words(text: str) -> int:
    """A token counter: one token a word."""
    return len(text.split())
