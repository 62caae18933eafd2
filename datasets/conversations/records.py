"""What a reader of conversations hands over: the conversations, and by file and line everything that did not become one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.conversations import Clues, Conversation, Line
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS

MADE = "made_conversations"
"""`kind` in the manifest of conversations that `rapport.datasets.synthetic.dramas` wrote."""


class ReadOptions(Config):
    """What every reader of conversations takes."""

    splits: tuple[str, ...] = SPLITS
    """Sides to read: train, validation, test. One whose file is not there is passed over and told."""
    max_bad_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of rows that may be unusable; they are listed by file and line. Beyond it reading fails."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a table, or a line of a file, that cannot be used as it is."""

    file: str
    line: int
    """From 1, as an editor counts."""
    reason: str
    """A short code: `cells`, `encoding`, `number`, `duplicate`, `unknown_label`, `empty`, `speaker`, `json`, `keys`, `no_text`, `no_scene`,
    `null_target`."""
    message: str
    """Value seen, value wanted."""

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Conversations:
    """The outcome of reading one corpus."""

    corpus: str
    labels: tuple[str, ...]
    """In the order of their class indices."""
    conversations: list[Conversation]
    """By split in the order of `SPLITS`, then as the corpus orders them."""
    bad: list[BadRow] = field(default_factory=list)
    """What is not used as it is, with the reason. A line whose label is unknown stays as context, without a label; others are left out."""
    deviations: list[str] = field(default_factory=list)
    """How the counts differ from those of the complete corpus, one sentence each."""
    absent: dict[str, str] = field(default_factory=dict)
    """Split to the file that was looked for and is not there."""
    notes: list[str] = field(default_factory=list)
    """What else a reader of the results should know, such as where a split comes from."""
    clues: Clues = field(default_factory=Clues)
    """Clues that lie beside the conversations."""
    origins: dict[str, str] = field(default_factory=dict)
    """`<split>/<dialogue_id>` to the episode, such as `s04_e07`; empty where the corpus has none."""

    def of(self, split: str) -> list[Conversation]:
        """The conversations of one side."""
        return [c for c in self.conversations if c.split == split]

    def counts(self) -> dict[str, dict[str, int]]:
        """Split to `dialogues`, `lines` (those with a label) and the lines of each label."""
        return {split: count(self.of(split), self.labels) for split in SPLITS if self.of(split)}


def count(conversations: Iterable[Conversation], labels: Sequence[str]) -> dict[str, int]:
    """`dialogues`, `lines` (those with a label) and the lines of each label."""
    listed = list(conversations)
    found = Counter(line.label for c in listed for line in c.lines if line.label is not None)
    return {"dialogues": len(listed), "lines": sum(found.values()), **{label: found[label] for label in labels}}


def key_of(conversation: Conversation) -> str:
    """`<split>/<dialogue_id>`: the name of a conversation within its corpus."""
    return f"{conversation.split}/{conversation.dialogue_id}"


def numbered(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines with their turns counted anew from 0."""
    return tuple(Line(turn, line.line_id, line.speaker, line.text, line.label) for turn, line in enumerate(lines))


def check_bad(bad: Sequence[BadRow], rows: int, options: ReadOptions, root: str) -> None:
    """Raise RapportError that names the first bad rows when there are more of them than `max_bad_fraction` allows."""
    if not bad or len(bad) <= options.max_bad_fraction * rows:
        return
    reasons = ", ".join(f"{number} {reason}" for reason, number in Counter(b.reason for b in bad).most_common())
    first = "; ".join(map(str, bad[:3]))
    raise RapportError(
        f"{root}: {len(bad)} of {rows} rows cannot be used ({reasons}), more than max_bad_fraction {options.max_bad_fraction:g} allows; "
        f"the first: {first}. Mend them, or raise max_bad_fraction"
    )


def check_some(conversations: Sequence[Conversation], absent: Mapping[str, str], root: str, wanted: str) -> None:
    """Raise RapportError when nothing was read."""
    if not conversations:
        looked = f"; looked for {', '.join(absent.values())}" if absent else ""
        raise RapportError(f"{root} holds no conversation: wanted {wanted}{looked}")


def first_folder(root: str, below: Sequence[str], names: Sequence[str]) -> str:
    """`root` or the first of the folders `below` it that holds one of the files; `root` where none does.

    Raises RapportError when `root` is no folder.
    """
    if not storage.is_folder(root):
        raise RapportError(f"{root} is no folder that can be read")
    folders = [root, *(storage.join(root, folder) for folder in below)]
    return next((f for f in folders if any(storage.exists(storage.join(f, name)) for name in names)), root)


def is_made(root: str) -> bool:
    """Whether the conversations below `root` were made by a machine, so that a published corpus' counts are none of theirs."""
    return storage.is_complete(root) and storage.read_manifest(root).get("kind") == MADE
