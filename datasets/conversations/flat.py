"""Examples in the flat form that the published code of CoE takes: `{"input": prompt, "target": answer}`, one JSON object a line.

A stage is a folder with `train.json` and `test.json`, perhaps `valid.json`, and for the stage that reasons `trainbegin.json`, the examples
with a rationale. Nothing but text is left in this form: what is read gets ids by its place in the file, and nothing is known of its clues.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from rapport.core import storage
from rapport.core.config import Names
from rapport.core.conversations import TASKS, ErcExample
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import BadRow, ReadOptions, check_bad
from rapport.datasets.conversations.tables import read_objects, to_json_lines

FILES: Mapping[str, str] = {"train": "train.json", "validation": "valid.json", "test": "test.json"}
SEEDS = "trainbegin.json"


class Options(ReadOptions):
    """What the folders of stages do not tell."""

    corpus: str = Field(default="flat", pattern=r"^[^/]+$")
    """The first part of every example id, by which synonyms of labels are found; the files do not name their corpus."""
    labels: Names = ()
    """Labels in the order of their class indices; without them, the different answers of train in the order in which they appear."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The examples of one stage."""

    task: str
    labels: tuple[str, ...]
    """Answers to choose from; empty where the answer is free."""
    examples: dict[str, list[ErcExample]]
    """Split to its examples; splits without a file are absent."""
    seeds: list[ErcExample] = field(default_factory=list)
    """Those with a rationale."""
    bad: list[BadRow] = field(default_factory=list)


def read_stage(
    folder: str,
    task: str,
    *,
    corpus: str = "flat",
    labels: Sequence[str] | None = None,
    options: ReadOptions | None = None,
) -> Stage:
    """The examples of a folder, under ids `corpus/split/flat/line/task`.

    `labels` unless told are, for erc and steer, the different answers of train.json in the order in which they appear. Records whose target
    is null are bad. Raises RapportError when there is no file, when too many records are bad, and for a task that does not exist.
    """
    if task not in TASKS:
        raise RapportError(f"task {task!r}: wanted {', '.join(TASKS)}")
    options = options or ReadOptions()
    paths = {split: storage.join(folder, name) for split, name in FILES.items() if split in options.splits}
    found = Stage(task, (), {})
    rows = 0
    for split, path in paths.items():
        if storage.exists(path):
            found.examples[split] = read_flat(path, split, task, corpus, found.bad)
            rows += len(found.examples[split])
    if not any(found.examples.values()):
        raise RapportError(f"{folder} holds no example: wanted {', '.join(FILES.values())}, one object with input and target a line")
    if storage.exists(seeds := storage.join(folder, SEEDS)):
        found.seeds.extend(read_flat(seeds, "seed", task, corpus, found.bad))
        rows += len(found.seeds)
    if labels is None:
        labels = tuple(dict.fromkeys(e.target for e in found.examples.get("train", ()))) if task in ("erc", "steer") else ()
    rows += len(found.bad)
    for split, listed in found.examples.items():
        odd = [e for e in listed if labels and e.target not in labels]
        found.examples[split] = [_with_labels(e, labels) for e in listed if not labels or e.target in labels]
        wanted = f"wanted one of {', '.join(labels)}"
        found.bad.extend(BadRow(paths[split], _line_of(e), "unknown_label", f"target {e.target!r}, {wanted}") for e in odd)
    check_bad(found.bad, rows, options, folder)
    return Stage(task, tuple(labels), found.examples, [_with_labels(e, labels) for e in found.seeds], found.bad)


def read_stages(root: str, options: Options | None = None) -> list[Stage]:
    """The stages whose folder, named after the task, is below the root; steer takes the labels of erc where none are given.

    Raises RapportError when there is none, and as `read_stage` does.
    """
    options = options or Options()
    labels: Sequence[str] | None = options.labels or None
    stages = {}
    for task in ("erc", *(t for t in TASKS if t != "erc")):
        if storage.is_folder(folder := storage.join(root, task)):
            known = labels if task in ("erc", "steer") else None
            stages[task] = read_stage(folder, task, corpus=options.corpus, labels=known, options=options)
            labels = labels or (stages[task].labels if task == "erc" else None)
    if not stages:
        raise RapportError(f"{root} holds no stage: wanted folders {', '.join(TASKS)} with {', '.join(FILES.values())}")
    return [stages[task] for task in TASKS if task in stages]


def write_stage(folder: str, examples: Mapping[str, Iterable[ErcExample]], seeds: Iterable[ErcExample] | None = None) -> None:
    """Write one file a split, and the seeds where there are some; ids, labels and clues do not survive."""
    for split, listed in examples.items():
        if split not in FILES:
            raise RapportError(f"split {split!r}: wanted {', '.join(FILES)}")
        write_flat(storage.join(folder, FILES[split]), listed)
    if seeds is not None:
        write_flat(storage.join(folder, SEEDS), seeds)


def write_flat(path: str, examples: Iterable[ErcExample]) -> None:
    """Write prompts and answers, whole or not at all."""
    storage.write_bytes(path, to_json_lines([{"input": e.input, "target": e.target} for e in examples]))


def read_flat(path: str, split: str, task: str, corpus: str, bad: list[BadRow]) -> list[ErcExample]:
    """The examples of one file in its order; lines that are none are added to `bad`."""
    examples = []
    for item in read_objects(path):
        if isinstance(item, BadRow):
            bad.append(item)
            continue
        number, record = item
        given, target = record.get("input"), record.get("target")
        if not isinstance(given, str) or "target" not in record:
            bad.append(BadRow(path, number, "keys", f"wanted input and target as text, found keys {', '.join(record)}"))
        elif target is None:
            bad.append(BadRow(path, number, "null_target", "target is null, wanted text; the published code passes over it as well"))
        elif not isinstance(target, str) or not given.strip() or not target.strip():
            bad.append(BadRow(path, number, "empty", "wanted input and target as text that is not empty"))
        else:
            name = f"{corpus}/{split}/flat/{number}/{task}"
            examples.append(ErcExample(name, task, given, target, target, meta={"template": "flat"}))
    return examples


def _line_of(example: ErcExample) -> int:
    """The line of its file, from 1."""
    return int(example.example_id.split("/")[-2])


def _with_labels(example: ErcExample, labels: Sequence[str]) -> ErcExample:
    return ErcExample(example.example_id, example.task, example.input, example.target, example.gold, tuple(labels), example.meta)
