"""What a model was trained on, whether that flatters its figures, and how often it was measured on the test side.

`evaluations.json` in a model's folder holds an entry for every evaluation. The test side is to be looked at once, when nothing is left to
choose: a model that was measured on it ten times was perhaps chosen by it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.datasets.conversations.corpora import own
from rapport.datasets.conversations.examples import ExampleStore, open_examples
from rapport.datasets.conversations.overlap import overlaps
from rapport.datasets.conversations.records import Conversations
from rapport.models.erc.templates import line_key
from rapport.ray_jobs.coe_training.graph import ERC

RECORD = "evaluations.json"


@dataclass(frozen=True, slots=True)
class Build:
    """Examples that a model was trained on."""

    folder: str
    digest: str
    name: str = ""


def builds_of(facts: Mapping[str, Any]) -> tuple[Build, ...]:
    """The builds that a model's config.json names; none where it names none."""
    return tuple(Build(found["folder"], found["digest"], found.get("name", "")) for found in facts.get("data") or ())


def rehearsed(facts: Mapping[str, Any]) -> bool:
    """Whether a model learned reasons to the end: beside the labels, in its last stage."""
    return facts.get("stage") == ERC and bool(facts.get("memory_of"))


def leak_warnings(
    model: str, trained_on: Sequence[Build], asked: ExampleStore, questions: Sequence[ErcExample], conversations: Conversations | None
) -> list[str]:
    """A warning for each other build that a model, told by `model`, was trained on and that teaches something of what is asked."""
    if not trained_on:
        return [f"{model} does not tell what it was trained on: whether it has seen these lines is not known"]
    others = [build for build in trained_on if build.digest != asked.digest]
    return [found for build in others if (found := _warning(model, build, asked, questions, conversations))]


def _warning(
    model: str, build: Build, asked: ExampleStore, questions: Sequence[ErcExample], conversations: Conversations | None
) -> str | None:
    try:
        store = open_examples(build.folder)
    except (RapportError, OSError, ValueError):  # moved, deleted, or in a store for which this machine has no key
        return f"{model} was trained on {build.folder}, which cannot be read here: whether it has seen these lines is not known"
    if store.corpus == asked.corpus:
        taught = {line_key(e.example_id) for task in ("erc", "steer") if store.has(task, "train") for e in store.read(task, "train")}
        seen = sum(line_key(question.example_id) in taught for question in questions)
        told = f"{seen} of the {len(questions)} lines" if seen else ""
    elif conversations is None or not storage.exists(storage.join(store.folder, own.FILE)):
        return None
    else:
        side = f"{asked.corpus}/{line_key(questions[0].example_id).split}"
        told = "; ".join(str(o) for o in overlaps([conversations, store.conversations()]) if o.shared and o.asked == side)
    return f"{model} was trained on {build.folder}, which holds lines that are asked here: {told}. This flatters it" if told else None


def fingerprint(folder: str) -> str:
    """Stands for the weights in a model folder: the key of their training, or else a hash of config.json."""
    path = storage.join(folder, "config.json")
    facts = storage.read_json(path).get("facts") or {}
    return str(facts.get("key") or hashlib.sha256(storage.read_bytes(path)).hexdigest())


def evaluations(folder: str) -> list[dict[str, Any]]:
    """The evaluations of the weights that are in a model folder now, the earliest first."""
    path = storage.join(folder, RECORD)
    found: list[dict[str, Any]] = storage.read_json(path) if storage.exists(path) else []
    return [entry for entry in found if entry["weights"] == fingerprint(folder)]


def record(folder: str, entry: Mapping[str, Any]) -> str | None:
    """Write one more evaluation of these weights down; those of earlier weights are dropped. Gives a warning when that cannot be done."""
    path = storage.join(folder, RECORD)
    try:
        storage.write_json(path, [*evaluations(folder), {**entry, "weights": fingerprint(folder)}])
    except OSError as error:
        return f"{path} cannot be written ({error}): nobody will know that this model was measured"
    return None


def times_on_test(folder: str) -> int:
    """How often the weights in a model folder were measured on a test side."""
    return sum(entry["side"] == "test" for entry in evaluations(folder))
