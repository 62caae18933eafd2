"""Examples with a rationale, from which a model begins to reason: a few lines of the training side, with every label among them.

    seeds.jsonl   {"dialogue_id": "12", "turn": 3, "line_id": "3", "label": "angry", "rationale": "Nora is ... <angry>"}

A rationale gives its label between angle brackets at its end. The prompts are rendered with those of all other lines. Seeds of ours lie in
`clue_files/seeds_<corpus>.yaml`: ids, labels and reasons in our own words, and nothing of the corpus' text.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rapport.core import storage
from rapport.core.config import Config, read_config
from rapport.core.errors import RapportError
from rapport.datasets.conversations.clues import AUTO, NONE
from rapport.datasets.conversations.records import Conversations
from rapport.datasets.conversations.tables import read_dataclass, to_json_lines

FILE = "seeds.jsonl"

_SHIPPED = Path(__file__).resolve().parent / "clue_files"


class ListedSeed(Config):
    """One seed in a YAML file, whose line is found by its id: its turn depends on how much of a scene is read."""

    dialogue_id: str
    """The conversation, on the training side."""
    line_id: str
    """The corpus' own id of the line."""
    label: str
    """The line's label."""
    rationale: str
    """Why; ends in `<label>`."""


class ListedSeeds(Config):
    """A YAML file of seeds."""

    version: int = 1
    """Raised when a text changes."""
    source: str = ""
    """Where the reasons come from."""
    seeds: tuple[ListedSeed, ...]
    """Every label among them."""


@dataclass(frozen=True, slots=True)
class Seed:
    """Why a line of the training side has its label."""

    dialogue_id: str
    turn: int
    line_id: str
    label: str
    rationale: str
    """Ends in `<label>`."""


def gather_seeds(found: Conversations, chosen: str = AUTO, root: str | None = None) -> tuple[list[Seed], str]:
    """The seeds for conversations, checked, and where they come from.

    `auto` takes those beside the conversations in `root`, else those that ship for the corpus, else none; `none` takes none; else a file of
    either form. Shipped ones of which a copy lacks a line are not taken. Raises RapportError as `read_seeds` does.
    """
    if chosen == NONE:
        return [], NONE
    if chosen != AUTO:
        return read_seeds(chosen, found), chosen
    beside = storage.join(root, FILE) if root else ""
    if beside and storage.exists(beside):
        return read_seeds(beside, found), "beside the conversations"
    shipped = _SHIPPED / f"seeds_{found.corpus}.yaml"
    if not shipped.is_file():
        return [], f"{NONE}: nobody wrote reasons for {found.corpus}"
    listed = read_config(ListedSeeds, shipped)
    try:
        seeds = _placed(listed, found, shipped.name)
        check_seeds(seeds, found, shipped.name)
    except RapportError as error:
        return [], f"{NONE}: those that ship do not fit this copy ({error})"
    return seeds, f"{shipped.name}, version {listed.version}"


def relocate(seeds: Sequence[Seed], found: Conversations) -> list[Seed]:
    """The seeds whose lines are still among the conversations, at the turns that these have now."""
    turns = {(c.dialogue_id, line.line_id): line.turn for c in found.of("train") for line in c.lines}
    return [replace(s, turn=turns[s.dialogue_id, s.line_id]) for s in seeds if (s.dialogue_id, s.line_id) in turns]


def read_seeds(path: str, found: Conversations) -> list[Seed]:
    """The seeds of a file, JSON Lines or the YAML form of those that ship, checked against the conversations.

    Raises RapportError for a line that is no seed, and as `check_seeds` does.
    """
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted {FILE}, a few lines of the training side with a rationale each")
    if path.lower().endswith((".yaml", ".yml")):
        seeds = _placed(read_config(ListedSeeds, storage.local_copy(path)), found, path)
    else:
        seeds = list(read_dataclass(path, Seed))
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


def _placed(listed: ListedSeeds, found: Conversations, where: str) -> list[Seed]:
    turns = {(c.dialogue_id, line.line_id): line.turn for c in found.of("train") for line in c.lines}
    for seed in listed.seeds:
        if (seed.dialogue_id, seed.line_id) not in turns:
            raise RapportError(f"{where}: {seed.line_id} of dialogue {seed.dialogue_id} is no line of the training side of {found.corpus}")
    return [Seed(s.dialogue_id, turns[s.dialogue_id, s.line_id], s.line_id, s.label, s.rationale) for s in listed.seeds]
