"""Examples with a rationale, from which a model begins to reason: a few lines of the training side, with every label among them.

    seeds.jsonl   {"dialogue_id": "12", "turn": 3, "line_id": "3", "label": "angry", "rationale": "Nora is ... <angry>"}

A rationale gives its label between angle brackets at its end. The prompts are rendered with those of all other lines.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import BadRow, Conversations
from rapport.datasets.conversations.tables import read_objects, to_json_lines

FILE = "seeds.jsonl"


@dataclass(frozen=True, slots=True)
class Seed:
    """Why a line of the training side has its label."""

    dialogue_id: str
    turn: int
    line_id: str
    label: str
    rationale: str
    """Ends in `<label>`."""


def read_seeds(path: str, found: Conversations) -> list[Seed]:
    """The seeds of a file, checked against the conversations.

    Raises RapportError for a line that is no seed, and as `check_seeds` does.
    """
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted {FILE}, a few lines of the training side with a rationale each")
    seeds = []
    for item in read_objects(path):
        if isinstance(item, BadRow):
            raise RapportError(str(item))
        number, record = item
        try:
            seed = Seed(**record)
        except TypeError:
            wanted = ", ".join(Seed.__dataclass_fields__)
            raise RapportError(f"{path} line {number}: keys {', '.join(record)}, wanted {wanted}") from None
        seeds.append(seed)
    check_seeds(seeds, found, path)
    return seeds


def write_seeds(path: str, seeds: Sequence[Seed]) -> None:
    """Write seeds, whole or not at all."""
    storage.write_bytes(path, to_json_lines([asdict(seed) for seed in seeds]))


def check_seeds(seeds: Sequence[Seed], found: Conversations, where: str = "the seeds") -> None:
    """Raise RapportError unless each seed is a line of train that ends in its label, none comes twice, and every label is among them."""
    lines = {(c.dialogue_id, line.turn): line for c in found.of("train") for line in c.lines}
    seen = set()
    for seed in seeds:
        place = (seed.dialogue_id, seed.turn)
        told = f"{where}: dialogue {seed.dialogue_id}, turn {seed.turn}"
        line = lines.get(place)
        if line is None:
            raise RapportError(f"{told} is no line of the training side of {found.corpus}")
        if (line.line_id, line.label) != (seed.line_id, seed.label):
            raise RapportError(f"{told} is {seed.line_id} ({seed.label}), the corpus has {line.line_id} ({line.label})")
        if not seed.rationale.rstrip().endswith(f"<{seed.label}>"):
            raise RapportError(f"{told}: the rationale ends in {seed.rationale[-30:]!r}, wanted <{seed.label}>")
        if place in seen:
            raise RapportError(f"{told} comes twice")
        seen.add(place)
    if missing := [label for label in found.labels if label not in {seed.label for seed in seeds}]:
        raise RapportError(f"{where}: no example of {', '.join(missing)}; every label wants at least one")
