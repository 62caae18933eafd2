"""Canonical rows: what every corpus loader yields and every later step reads.

An `Utterance` is one stretch of speech by one speaker. Nested records of conversations are built from rows that share a
`dialogue_id`, ordered by `turn`.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace

import pyarrow as pa

SPLITS = ("train", "validation", "test")
LEFT_OUT = "left_out"
"""The split of a row that may lie on no side, because it would share a speaker or a sentence with another side."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance, described but not decoded."""

    utterance_id: str
    """Unique over all corpora and stable over runs: `<corpus>/<name within the corpus>`."""
    corpus: str
    audio_path: str
    """Path or URI of the file that holds the speech."""
    split: str | None = None
    """`train`, `validation`, `test` or `left_out`; None until a split is assigned."""
    start_s: float = 0.0
    """Where the utterance begins in its file."""
    end_s: float | None = None
    """Where it ends; None is the end of the file."""
    duration_s: float | None = None
    """Length of the decoded speech; None until decoded."""
    sample_rate_hz: int | None = None
    """Rate of the file as found; None until decoded. Prepared audio is always 16 kHz."""
    speaker_id: str | None = None
    """Unique over all corpora: `<corpus>/<speaker>`. None is unknown, and such a row forms a group of its own when splitting."""
    gender: str | None = None
    """`female`, `male` or None."""
    language: str | None = None
    """BCP-47 tag, such as `en-US`."""
    text: str | None = None
    emotion: str | None = None
    """Canonical, from `rapport.core.emotions.EMOTIONS`; None is unlabelled."""
    emotion_raw: str | None = None
    """The label as the corpus writes it."""
    intensity: str | None = None
    """Acted strength as the corpus calls it, such as `normal`, `strong`, `low`."""
    dialogue_id: str | None = None
    turn: int | None = None

    def with_split(self, split: str) -> "Utterance":
        """The same utterance in another split."""
        return replace(self, split=split)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation in writing."""

    speaker: str
    text: str
    emotion: str | None = None
    """Canonical; None is not told."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation in writing."""

    dialogue_id: str
    """Unique in its collection."""
    turns: tuple[Turn, ...]
    """In the order in which they were said."""


UTTERANCE_SCHEMA = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("audio_path", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64()),
        pa.field("duration_s", pa.float64()),
        pa.field("sample_rate_hz", pa.int32()),
        pa.field("speaker_id", pa.string()),
        pa.field("gender", pa.string()),
        pa.field("language", pa.string()),
        pa.field("text", pa.string()),
        pa.field("emotion", pa.string()),
        pa.field("emotion_raw", pa.string()),
        pa.field("intensity", pa.string()),
        pa.field("dialogue_id", pa.string()),
        pa.field("turn", pa.int32()),
    ]
)


def to_table(utterances: Iterable[Utterance]) -> pa.Table:
    """The rows as an Arrow table of `UTTERANCE_SCHEMA`."""
    return pa.Table.from_pylist([asdict(u) for u in utterances], schema=UTTERANCE_SCHEMA)


def from_table(table: pa.Table) -> list[Utterance]:
    """The utterances of a table that has at least the columns of `UTTERANCE_SCHEMA`; further columns are left out."""
    names = [f.name for f in fields(Utterance)]
    return [Utterance(**row) for row in table.select(names).to_pylist()]
