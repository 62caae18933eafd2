"""Lines that one corpus teaches and another asks about: two corpora of the same show share scenes, which flatters every figure.

Compared are lines of at least six words, in lower case and without marks: the test and validation sides of each corpus against the training
sides of the others. Short lines are said by anybody; a scene that shares a long line shares its short ones too, so that whole dialogues
are taken out unless told otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rapport.core.conversations import Conversation
from rapport.datasets.conversations.records import Conversations, numbered
from rapport.datasets.conversations.text import words_of

FEWEST_WORDS = 6


@dataclass(frozen=True, slots=True)
class Overlap:
    """What one side that is asked about shares with another corpus' training side."""

    asked: str
    """`<corpus>/<split>`."""
    trained: str
    """`<corpus>/train`."""
    distinct: int
    """Different long lines of the asked side."""
    shared: int
    """Those of them that the training side holds."""
    asked_lines: tuple[str, ...]
    """`<corpus>/<split>/<dialogue>/<turn>` of every line that is shared."""
    trained_lines: tuple[str, ...]
    """The same in the training side."""

    @property
    def share(self) -> float:
        """Part of the different long lines that is shared."""
        return self.shared / self.distinct if self.distinct else 0.0

    def __str__(self) -> str:
        return f"{self.shared} of {self.distinct} long lines of {self.asked} ({self.share:.1%}) stand in {self.trained}"


def overlaps(corpora: Sequence[Conversations]) -> list[Overlap]:
    """For each asked side and each training side of another corpus, what they share; pairs that share nothing are among them."""
    found = []
    for asked in corpora:
        for trained in corpora:
            if asked.corpus == trained.corpus:
                continue
            known = _long_lines(trained.of("train"))
            for split in ("validation", "test"):
                lines = _long_lines(asked.of(split))
                shared = sorted(lines.keys() & known.keys())
                if lines and known:
                    ids = [tuple(name for words in shared for name in side[words]) for side in (lines, known)]
                    found.append(Overlap(f"{asked.corpus}/{split}", f"{trained.corpus}/train", len(lines), len(shared), *ids))
    return found


def without_overlap(
    corpora: Sequence[Conversations], remove: Literal["dialogues", "lines"] = "dialogues"
) -> tuple[list[Conversations], list[Overlap]]:
    """The corpora without what they share, taken from the training sides, and what was found.

    `dialogues` takes out every training dialogue with a shared line, `lines` those lines alone, whose dialogues are numbered anew.
    """
    found = overlaps(corpora)
    drop = {name for overlap in found for name in overlap.trained_lines}
    kept = []
    for corpus in corpora:
        conversations = [c for each in corpus.conversations if (c := _without(each, drop, remove)) is not None]
        kept.append(replace(corpus, conversations=conversations))
    return kept, found


def _without(conversation: Conversation, drop: set[str], remove: str) -> Conversation | None:
    lines = [line for line in conversation.lines if _name(conversation, line.turn) not in drop]
    if len(lines) == len(conversation.lines):
        return conversation
    return None if remove == "dialogues" or not lines else replace(conversation, lines=numbered(lines))


def _long_lines(conversations: Sequence[Conversation]) -> dict[tuple[str, ...], list[str]]:
    """Words to the lines that have them."""
    found: dict[tuple[str, ...], list[str]] = {}
    for conversation in conversations:
        for line in conversation.lines:
            words = words_of(line.text)
            if len(words) >= FEWEST_WORDS:
                found.setdefault(words, []).append(_name(conversation, line.turn))
    return found


def _name(conversation: Conversation, turn: int) -> str:
    return f"{conversation.corpus}/{conversation.split}/{conversation.dialogue_id}/{turn}"
