"""Cards of the conversation corpora: licence, label map and the counts of a complete copy, one YAML file a corpus beside this one."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field, model_validator

from rapport.core.config import Config, read_config
from rapport.core.conversations import LABELS
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS

_CARDS = Path(__file__).resolve().parent / "cards"


class Side(Config):
    """What one side of a complete copy holds."""

    dialogues: int
    """Conversations."""
    lines: int
    """Lines with a label."""
    labels: dict[str, int] = Field(default_factory=dict)
    """Lines of each label, in the benchmark's spelling; empty where they are not published."""


class ConversationCard(Config):
    """The card of one corpus of conversations."""

    title: str
    """The corpus' full name."""
    licence: str
    """Licence by its usual short name."""
    source: str
    """Where to get it."""
    citation: str
    """What to cite, in one paragraph."""
    label_map: dict[str, str]
    """The corpus' own label to the benchmark's."""
    context_labels: tuple[str, ...] = ()
    """The corpus' own labels that the benchmark does not score: such lines are context at most."""
    expected: dict[str, Side]
    """Split to the counts of a complete copy."""
    remarks: dict[str, str] = Field(default_factory=dict)
    """Label to what is known about a difference in its count."""

    @model_validator(mode="after")
    def _adds_up(self) -> "ConversationCard":
        for split, side in self.expected.items():
            if split not in SPLITS:
                raise ValueError(f"split {split!r}: wanted {', '.join(SPLITS)}")
            if side.labels and sum(side.labels.values()) != side.lines:
                raise ValueError(f"{split}: {sum(side.labels.values())} lines by label, {side.lines} in all")
        return self


@cache
def read_conversation_card(corpus: str) -> ConversationCard:
    """The card of a corpus.

    Raises RapportError when there is none of that name, or when its labels are not those of `LABELS`.
    """
    path = _CARDS / f"{corpus}.yaml"
    if not path.is_file():
        raise RapportError(f"no card for {corpus!r}: wanted the file datasets/conversations/cards/{corpus}.yaml")
    card = read_config(ConversationCard, path)
    if odd := set(card.label_map.values()) ^ set(LABELS[corpus]):
        raise RapportError(f"{path}: the label map and LABELS[{corpus!r}] differ by {', '.join(sorted(odd))}")
    return card


def count_deviations(card: ConversationCard, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """How counts differ from a complete copy, one sentence each; splits that were not read are passed over."""
    told = []
    for split, found in counts.items():
        if split not in card.expected:
            continue
        side = card.expected[split]
        wanted = {"dialogues": side.dialogues, "lines": side.lines, **side.labels}
        for name, number in wanted.items():
            if found.get(name, 0) != number:
                remark = f" ({card.remarks[name]})" if name in card.remarks else ""
                told.append(f"{split}: {found.get(name, 0)} {name} of {number} in the complete corpus{remark}")
    return told
