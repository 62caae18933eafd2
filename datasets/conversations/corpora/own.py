"""Your own conversations in a file of JSON Lines: one conversation a line, with labels, people and places beside it. Licence and source are
yours.

    dialogues.jsonl   {"dialogue_id": "1", "dataset": "own", "split": "train", "scene": "a kitchen at night",
                       "turns": [{"turn": 0, "utt_id": "1-0", "speaker": "Nora", "text": "Who is there?", "label": "fear"}, ...]}
    labels.json       ["neutral", "fear"], or {"own": [...]}: in the order of their class indices
    personas.json     {"Nora": "a night nurse"}, or {"own": {...}}, or either of them under the key personas
    scenes.jsonl      {"dialogue_id": "1", "split": "train", "text": "a kitchen at night"}

Of a conversation only `dialogue_id` and `turns` are needed, of a turn only `speaker` and `text`; the root may be the file itself. A label
of null is a line that is only context. Without labels.json the labels are taken in the order in which they first appear. Conversations
without a split go to train, validation and test as 8 : 1 : 1 by their id.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rapport.core import storage
from rapport.core.conversations import LABELS, Conversation, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations.clues import PERSONAS, SCENES, clues_beside
from rapport.datasets.conversations.records import BadRow, Conversations, ReadOptions, check_bad, check_some, key_of
from rapport.datasets.conversations.tables import Unusable, read_objects, to_json_lines
from rapport.datasets.conversations.text import clean

FILE, LABEL_FILE = "dialogues.jsonl", "labels.json"

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


class Options(ReadOptions):
    """Which conversations to read."""

    dataset: str | None = None
    """Which corpus of the file, where it holds several; its name begins every example id. A file that names none is called own."""


@dataclass(slots=True)
class _Reading:
    labels: tuple[str, ...] | None
    """None: as they appear."""
    options: Options
    seen: dict[str, None] = field(default_factory=dict)
    datasets: dict[str, None] = field(default_factory=dict)
    scenes: dict[str, str] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    without_split: int = 0
    rows: int = 0


def read(root: str, options: Options | None = None) -> Conversations:
    """The conversations of the file, with their labels and with the clues that lie beside it.

    Raises RapportError when the file is absent, holds several corpora of which none is named, has no label at all, or has too many bad
    lines.
    """
    options = options or Options()
    path = root if root.lower().endswith((".jsonl", ".json")) else storage.join(root, FILE)
    folder = storage.join(path, "..") if "://" in path else str(Path(storage.resolve(path)[1]).parent)
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted {FILE} with one conversation a line")
    reading = _Reading(_given_labels(folder, options.dataset), options)
    for item in read_objects(path):
        reading.rows += 1
        if isinstance(item, BadRow):
            reading.bad.append(item)
        else:
            _read_conversation(path, *item, reading)
    if len(reading.datasets) > 1:
        raise RapportError(f"{path} holds {', '.join(reading.datasets)}: name one of them in the option dataset")
    corpus = next(iter(reading.datasets), options.dataset or "own")
    check_some(reading.conversations, {}, path, f"lines of {corpus} with dialogue_id and turns, in splits {', '.join(options.splits)}")
    check_bad(reading.bad, reading.rows, options, path)
    labels = reading.labels or LABELS.get(corpus) or tuple(reading.seen)
    if not labels:
        raise RapportError(f"{path}: no line has a label; write labels beside the texts, or name them in {LABEL_FILE}")
    found = Conversations(corpus, labels, sorted(reading.conversations, key=lambda c: tuple(_SPLITS.values()).index(c.split)), reading.bad)
    found.absent.update({s: f"{path}: conversations of that split" for s in options.splits if not found.of(s)})
    if reading.labels is None and corpus not in LABELS:
        found.notes.append(f"labels in the order in which they appear: {', '.join(labels)}; {LABEL_FILE} would fix them")
    if reading.without_split:
        found.notes.append(f"{reading.without_split} conversations have no split and go to train, validation and test by their id")
    clues = clues_beside(folder, corpus, found.conversations, reading.scenes)
    return Conversations(
        **{name: getattr(found, name) for name in ("corpus", "labels", "conversations", "bad", "absent", "notes")}, clues=clues
    )


def write(folder: str, found: Conversations) -> None:
    """Write conversations, their labels and their clues in the form that `read` takes: any corpus becomes one that can be edited."""
    clues = found.clues
    records = [to_record(c, clues.scenes.get(key_of(c))) for c in found.conversations]
    storage.write_bytes(storage.join(folder, FILE), to_json_lines(records))
    storage.write_json(storage.join(folder, LABEL_FILE), {found.corpus: list(found.labels)})
    if clues.personas:
        told = {"source": clues.sources.get("personas", ""), "hash": clues.digest}
        storage.write_json(storage.join(folder, PERSONAS), {**told, "personas": {found.corpus: dict(clues.personas)}})
    if clues.scenes:
        source = clues.sources.get("scenes", "")
        keys = [(key.partition("/"), text) for key, text in clues.scenes.items()]
        rows = [{"dialogue_id": dialogue, "split": split, "text": text, "source": source} for (split, _, dialogue), text in keys]
        storage.write_bytes(storage.join(folder, SCENES), to_json_lines(rows))


def to_record(conversation: Conversation, scene: str | None = None) -> dict[str, Any]:
    """A conversation as one line of the file."""
    turns = [{"turn": x.turn, "utt_id": x.line_id, "speaker": x.speaker, "text": x.text, "label": x.label} for x in conversation.lines]
    head = {"dialogue_id": conversation.dialogue_id, "dataset": conversation.corpus, "split": conversation.split, "scene": scene}
    return {**head, "turns": turns}


def write_example(folder: Path) -> None:
    """Three conversations, one a side, with labels, personas and scenes."""
    said = {
        "train": (("Nora", "Who is there?", "fear"), ("Eli", "Just me.", "neutral")),
        "validation": (("Eli", "The van leaves soon.", "neutral"), ("Nora", "Good.", None)),
        "test": (("Nora", "Not the vase!", "fear"), ("Eli", "It was old.", "neutral")),
    }
    found = Conversations("own", ("neutral", "fear"), [])
    for split, lines in said.items():
        turns = tuple(Line(n, f"{split}-{n}", speaker, text, label) for n, (speaker, text, label) in enumerate(lines))
        found.conversations.append(Conversation(split[0], "own", split, turns))
    write(str(folder), found)
    storage.write_json(folder / PERSONAS, {"Nora": "a night nurse who startles easily"})
    storage.write_bytes(folder / SCENES, to_json_lines([{"dialogue_id": "t", "split": "train", "text": "a kitchen at night"}]))


def _given_labels(folder: str, dataset: str | None) -> tuple[str, ...] | None:
    path = storage.join(folder, LABEL_FILE)
    if not storage.exists(path):
        return None
    given = storage.read_json(path)
    if isinstance(given, Mapping):
        given = next(iter(given.values())) if dataset is None and len(given) == 1 else given.get(dataset or "own")
    if not isinstance(given, list) or not given or not all(isinstance(x, str) and x for x in given) or len(set(given)) < len(given):
        raise RapportError(f"{path}: wanted a list of different labels, or one under the name of the corpus ({dataset or 'own'})")
    return tuple(given)


def _read_conversation(path: str, number: int, record: Mapping[str, Any], reading: _Reading) -> None:
    options = reading.options
    corpus = str(record.get("dataset") or options.dataset or "own")
    if options.dataset and corpus != options.dataset:
        return
    # An id or a corpus with a slash would not be told apart within an example id.
    dialogue, turns = record.get("dialogue_id"), record.get("turns")
    if not isinstance(dialogue, str | int) or not isinstance(turns, list) or not turns or "/" in f"{dialogue}{corpus}":
        message = f"wanted dialogue_id (without a slash) and a list of turns, found keys {', '.join(record)}"
        reading.bad.append(BadRow(path, number, "keys", message))
        return
    given = record.get("split")
    split = _SPLITS.get(str(given).lower()) if given else _split_of(str(dialogue))
    if split is None:
        reading.bad.append(BadRow(path, number, "keys", f"split {given!r}, wanted train, validation or test"))
        return
    if split not in options.splits:
        return
    if any(c.dialogue_id == str(dialogue) and c.split == split and c.corpus == corpus for c in reading.conversations):
        reading.bad.append(BadRow(path, number, "duplicate", f"there is a conversation {split}/{dialogue} already; the first is kept"))
        return
    lines = tuple(_lines(path, number, turns, reading))
    reading.rows += len(turns) - 1
    if not lines:
        reading.bad.append(BadRow(path, number, "empty", f"no turn of conversation {dialogue} can be used"))
        return
    reading.without_split += not given
    reading.datasets[corpus] = None
    conversation = Conversation(str(dialogue), corpus, split, lines)
    reading.conversations.append(conversation)
    if isinstance(scene := record.get("scene"), str) and scene.strip():
        reading.scenes[key_of(conversation)] = clean(scene)


def _lines(path: str, number: int, turns: Iterable[Any], reading: _Reading) -> Iterable[Line]:
    ids: set[str] = set()
    kept = 0
    for place, turn in enumerate(turns):
        try:
            if not isinstance(turn, Mapping) or not isinstance(turn.get("speaker"), str) or not isinstance(turn.get("text"), str):
                raise Unusable("keys", f"turn {place}: wanted an object with speaker and text")
            speaker, text = clean(turn["speaker"]), clean(turn["text"])
            line_id = str(turn["utt_id"]) if turn.get("utt_id") is not None else str(place)
            if not speaker or not text:
                raise Unusable("empty", f"turn {place}: an empty {'text' if speaker else 'speaker'}")
            if line_id in ids:
                raise Unusable("duplicate", f"turn {place}: utt_id {line_id} stands in this conversation already; the first is kept")
        except Unusable as problem:
            reading.bad.append(BadRow(path, number, problem.reason, str(problem)))
            continue
        ids.add(line_id)
        label = turn.get("label")
        if label is not None and reading.labels is not None and label not in reading.labels:
            message = f"turn {place}: label {label!r}, wanted one of {', '.join(reading.labels)}; the line stays as context without a label"
            reading.bad.append(BadRow(path, number, "unknown_label", message))
            label = None
        if label is not None:
            reading.seen[str(label)] = None
        yield Line(kept, line_id, speaker, text, None if label is None else str(label))
        kept += 1


def _split_of(dialogue: str) -> str:
    """The side of a conversation that names none: the same on any machine, whatever else the file holds."""
    place = hashlib.sha256(dialogue.encode()).digest()[0] % 10
    return {8: "validation", 9: "test"}.get(place, "train")
