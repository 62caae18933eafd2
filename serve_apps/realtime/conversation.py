"""The messages of a conversation, oldest first and bounded, and what the dialogue model is told of them."""

import base64
from dataclasses import dataclass, field
from typing import Any, Literal

from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Turn
from rapport.serve_apps.realtime.errors import ProtocolError
from rapport.serve_apps.realtime.input_audio import BYTES
from rapport.serve_apps.realtime.session_config import RATE_HZ
from rapport.serve_apps.realtime.speaking import Spoken

Kind = Literal["input_text", "input_audio", "output_text", "output_audio"]
Status = Literal["completed", "incomplete", "in_progress"]


@dataclass(slots=True)
class Content:
    """A piece of a message."""

    kind: Kind
    words: str | None = None
    """What is said in it; None where it is not known yet."""
    pcm: bytes | bytearray = b""
    """Its sound, 24 kHz."""

    def told(self, *, with_audio: bool) -> dict[str, Any]:
        """As the interface has it."""
        if self.kind in ("input_text", "output_text"):
            return {"type": self.kind, "text": self.words or ""}
        audio = {"audio": base64.b64encode(self.pcm).decode()} if with_audio else {}
        return {"type": self.kind, "transcript": self.words, **audio}


@dataclass(slots=True)
class Item:
    """A message."""

    id: str
    role: Literal["user", "assistant", "system"]
    content: list[Content] = field(default_factory=list)
    status: Status = "completed"
    emotion: str | None = None
    """How it was said."""
    spoken: Spoken | None = None
    """How a reply lies in its sound."""

    @property
    def words(self) -> str:
        """What is said in it, as far as it is known."""
        return " ".join(content.words for content in self.content if content.words)

    @property
    def pcm(self) -> bytes:
        """The sound of its last recording."""
        return bytes(next((content.pcm for content in reversed(self.content) if content.pcm), b""))

    def truncate(self, samples: int) -> None:
        """Keep what lies within the first samples of a reply that was spoken, words and sound."""
        assert self.spoken is not None
        (content,) = self.content
        content.words = self.spoken.cut(samples)
        content.pcm = content.pcm[: samples * BYTES]

    def told(self, *, with_audio: bool = False) -> dict[str, Any]:
        """As the interface has it."""
        content = [piece.told(with_audio=with_audio) for piece in self.content]
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": content,
            "x_emotion": self.emotion,
        }


class Conversation:
    """Messages in order."""

    def __init__(self, max_items: int, max_audio_s: float) -> None:
        self._max_items = max_items
        self._max_audio = round(max_audio_s * RATE_HZ) * BYTES
        self._items: list[Item] = []

    def __len__(self) -> int:
        return len(self._items)

    @property
    def last(self) -> Item | None:
        """The newest message."""
        return self._items[-1] if self._items else None

    @property
    def audio_s(self) -> float:
        """How much sound is kept."""
        return sum(len(content.pcm) for item in self._items for content in item.content) / BYTES / RATE_HZ

    def find(self, item_id: str, param: str = "item_id") -> Item:
        """The message of that name. Raises ProtocolError when there is none."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise ProtocolError(f"there is no item {item_id[:100]!r}", code="item_not_found", param=param)

    def holds(self, item_id: str) -> bool:
        """Whether there is a message of that name."""
        return any(item.id == item_id for item in self._items)

    def last_of(self, role: str) -> Item | None:
        """The newest message by one side."""
        return next((item for item in reversed(self._items) if item.role == role), None)

    def before(self, item: Item) -> str | None:
        """The name of the message before one; None for the first."""
        place = self._items.index(item)
        return self._items[place - 1].id if place else None

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put in a message after the one named: `root` is the beginning, None the end. The name of the one before it.

        Raises ProtocolError when there is no such message, or the new one has the name of another.
        """
        if self.holds(item.id):
            raise ProtocolError(f"there is an item {item.id[:100]!r} already", code="item_exists", param="item.id")
        place = len(self._items) if after is None else 0
        if after not in (None, "root"):
            place = 1 + self._items.index(self.find(str(after), "previous_item_id"))
        self._items.insert(place, item)
        return self._items[place - 1].id if place else None

    def remove(self, item: Item) -> None:
        """Forget a message."""
        self._items.remove(item)

    def trim(self) -> list[str]:
        """Forget what is too much: the sound of old messages, and the oldest messages. The names of the latter."""
        kept = 0
        for item in reversed(self._items):
            for content in item.content:
                if kept + len(content.pcm) > self._max_audio:
                    content.pcm = b""
                kept += len(content.pcm)
        gone, self._items = self._items[: -self._max_items], self._items[-self._max_items :]
        return [item.id for item in gone]

    def history(self, asked: Item | None, turns: int) -> tuple[Turn, ...]:
        """The last turns with words before a message; None is one that is yet to come."""
        earlier = self._items if asked is None else self._items[: self._items.index(asked)]
        spoken = [item for item in earlier if item.words and item.role in (USER, ASSISTANT)]
        return tuple(Turn(USER if item.role == USER else ASSISTANT, item.words, item.emotion) for item in spoken[-turns:] if turns)
