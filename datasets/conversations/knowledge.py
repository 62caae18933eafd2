"""What a published language model brings along, written down for one that learns from nothing: facts, and what is read in a conversation.

    knowledge.jsonl   {"text": "In a camp the rain means a strange mess."}
                      {"dialogue_id": "12", "line_id": "3", "text": "The scene is the farm. Ben Lane is gloomy."}

A text with a place tells what can be read in a conversation of train up to that line. None tells what anybody feels in a conversation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rapport.core import storage
from rapport.datasets.conversations.records import Conversations
from rapport.datasets.conversations.tables import read_dataclass, to_json_lines

FILE = "knowledge.jsonl"


@dataclass(frozen=True, slots=True)
class Known:
    """A text to be learned as it is."""

    text: str
    dialogue_id: str | None = None
    """Of the conversation of train that it is about; None is a fact by itself."""
    line_id: str | None = None
    """The line down to which it is read."""


def knowledge_beside(root: str, found: Conversations) -> list[Known]:
    """The texts of knowledge.jsonl in the folder of a corpus; none where there is no such file.

    What is about a line that was not read, or not on the training side, is left out. Raises RapportError for a line that is none.
    """
    path = storage.join(root, FILE)
    if not storage.exists(path):
        return []
    places = {(c.dialogue_id, line.line_id) for c in found.of("train") for line in c.lines}
    return [k for k in read_dataclass(path, Known) if k.dialogue_id is None or (k.dialogue_id, k.line_id) in places]


def write_knowledge(path: str, known: Sequence[Known]) -> None:
    """Write the texts, whole or not at all."""
    rows = [asdict(text) if text.dialogue_id is not None else {"text": text.text} for text in known]
    storage.write_bytes(path, to_json_lines(rows))
