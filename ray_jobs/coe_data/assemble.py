"""From conversations to a finished build: examples of every task and side, seeds, and what there is to know of them."""

import errno
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.config import dump_config
from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS
from rapport.datasets.conversations import flat
from rapport.datasets.conversations.corpora import own
from rapport.datasets.conversations.examples import (
    BAD_ROWS,
    HOME,
    KIND,
    KNOWLEDGE,
    SEEDS,
    TOKENIZER,
    examples_path,
    open_examples,
    write_records,
)
from rapport.datasets.conversations.records import BadRow
from rapport.datasets.conversations.tables import to_json_lines
from rapport.models.backends.llm.config import EMBEDDED
from rapport.models.erc.build import Built, build_examples
from rapport.ray_jobs.coe_data.config import BuildCoeConfig
from rapport.ray_jobs.coe_data.known import known_texts
from rapport.ray_jobs.coe_data.sources import FlatSource, Source, gather
from rapport.ray_jobs.coe_data.taken_in import built_from
from rapport.ray_jobs.coe_data.tokens import choose_tokenizer, counter, representative_texts, save_tokenizer
from rapport.ray_jobs.training_runs.run_folder import absolute

# Raise this when the same conversations and settings would give other examples.
FORMAT = 1
FLAT_HOME = "flat"
"""Folder of the published form within a build."""

_FREE = {"storage", "name", "export", "corpus", "clues", "seeds", "apart", "complete", "seed"}
"""Settings that decide nothing beyond what was read, which is hashed itself."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class BuildPlan:
    """One build: what it is made from and where it lies."""

    config: BuildCoeConfig
    folder: str
    source: Source | FlatSource


def plan(config: BuildCoeConfig) -> BuildPlan:
    """Everything read and checked, and the folder that its content names.

    Raises RapportError for what is not there, broken, or does not fit.
    """
    source = gather(config)
    made_from = {
        "format": FORMAT,
        "kind": type(source).__name__,
        "source": source.digest(),
        "settings": config.model_dump(mode="json", exclude=_FREE),
    }
    folder = storage.join(absolute(config.storage), "features", HOME, config.name, storage.content_key(made_from))
    return BuildPlan(config, folder, source)


def build(plan: BuildPlan) -> None:
    """Make and write the examples.

    Raises RapportError when a prompt cannot be made to fit, when a line that is asked about is learned from too, and when the disk is full.
    """
    source, config = plan.source, plan.config
    tokenizer, built = _flat_examples(source, config) if isinstance(source, FlatSource) else _examples(source, config)
    _check_sides(built)
    try:
        _write(plan, built, tokenizer)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RapportError(
            f"no room left while writing {plan.folder}: {error.strerror or error}. Free some, or choose another --storage, and run the job "
            "again; nothing counts as finished until all of it is written"
        ) from error


def export(plan: BuildPlan) -> dict[str, int]:
    """Write the published form below flat/, one folder a task; gives the number of lines by path."""
    store = open_examples(plan.folder)
    files: dict[str, int] = {}
    for task, sides in store.manifest["counts"].items():
        home = storage.join(plan.folder, FLAT_HOME, task)
        examples = {side: store.read(task, side) for side, number in sides.items() if number}
        seeds = store.seeds() if task == "steer" and storage.exists(storage.join(plan.folder, SEEDS)) else None
        flat.write_stage(home, examples, seeds)
        files.update({storage.join(home, flat.FILES[side]): len(found) for side, found in examples.items()})
        if seeds is not None:
            files[storage.join(home, flat.SEEDS)] = len(seeds)
    return files


def _examples(source: Source, config: BuildCoeConfig) -> tuple[Any, Built]:
    """The tokenizer that counted (None where none did), and the examples."""
    found = source.found
    reasons = {f"{found.corpus}/train/{s.dialogue_id}/{s.turn}": s.rationale for s in source.seeds}

    def made(count: Any = None, sides: Sequence[str] = SPLITS) -> Built:
        chosen = [c for c in found.conversations if c.split in sides]
        return build_examples(
            chosen, found.clues, config.prompt, found.labels, tasks=config.tasks, rules=config.rules, seeds=reasons, count=count
        )

    trains = config.tokenizer.source == EMBEDDED
    texts = representative_texts(made(sides=("train",)), found.clues, found.conversations) if trains else []
    texts += [known.text for known in source.knowledge]
    tokenizer = choose_tokenizer(config.tokenizer, texts)
    return tokenizer, made(counter(tokenizer) if tokenizer is not None else None)


def _flat_examples(source: FlatSource, config: BuildCoeConfig) -> tuple[Any, Built]:
    built = built_from(source)
    learned = [e for sides in built.examples.values() for e in sides.get("train", ())] + built.seeds
    return choose_tokenizer(config.tokenizer, [f"{e.input} {e.target}" for e in learned]), built


def _check_sides(built: Built) -> None:
    """Nothing that is asked of validation or test may be learned from, the reasons of seeds least of all."""
    lines: dict[str, set[str]] = {}
    for task, sides in built.examples.items():
        for side, examples in sides.items():
            where = {e.example_id.split("/")[1] for e in examples}
            if where - {side}:
                raise RapportError(f"examples of {task} for {side} hold lines of {', '.join(sorted(where - {side}))}")
            lines.setdefault(side, set()).update(e.example_id.rpartition("/")[0] for e in examples)
    pool = {e.example_id for e in built.examples.get("steer", {}).get("train", ())}
    asked = lines.get("validation", set()) | lines.get("test", set())
    learned = lines.get("train", set()) | {e.example_id.rpartition("/")[0] for e in built.seeds}
    wrong = sorted((asked & learned) | (pool & {e.example_id for e in built.seeds}))
    if wrong:
        raise RapportError(
            f"{len(wrong)} lines are learned from and asked about, such as {wrong[0]}: one side for each line, no seed in the pool"
        )


def _write(plan: BuildPlan, built: Built, tokenizer: Any) -> None:
    source, config, folder = plan.source, plan.config, plan.folder
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    if isinstance(source, Source):
        own.write(folder, source.found)
    bad: Sequence[BadRow] = source.bad if isinstance(source, FlatSource) else source.found.bad
    rows = [{"file": b.file, "line": b.line, "reason": b.reason, "message": b.message} for b in bad]
    storage.write_bytes(storage.join(folder, BAD_ROWS), to_json_lines(rows))
    files = {}
    for task, sides in built.examples.items():
        for side, examples in sides.items():
            if examples:
                files[f"{task}/{side}"] = examples_path(folder, task, side)
                write_records(files[f"{task}/{side}"], examples)
    if built.seeds:
        files["seeds"] = storage.join(folder, SEEDS)
        write_records(files["seeds"], built.seeds)
    if isinstance(source, Source) and source.knowledge:
        files["knowledge"] = storage.join(folder, KNOWLEDGE)
        write_records(files["knowledge"], known_texts(source, built))
    if tokenizer is not None and config.tokenizer.source == EMBEDDED:
        save_tokenizer(tokenizer, storage.join(folder, TOKENIZER))
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name} {hashlib.sha256(storage.read_bytes(path)).hexdigest()}\n".encode())
    told = {
        "kind": KIND,
        "format": FORMAT,
        "name": config.name,
        "counts": {task: {side: n for side, n in sides.items() if n} for task, sides in built.counts().items()},
        "label_counts": _label_counts(built),
        "tasks": list(built.examples),
        "rules": config.rules.model_dump(mode="json"),
        "tokenizer": {**config.tokenizer.model_dump(mode="json"), "size": None if tokenizer is None else len(tokenizer)},
        "skipped": {task: dict(counts) for task, counts in built.skipped.items() if counts},
        "cut": dict(built.cut()),
        "bad": dict(Counter(b.reason for b in bad)),
        "knowledge": len(source.knowledge) if isinstance(source, Source) else 0,
        "digest": digest.hexdigest(),
    }
    storage.finish(
        folder, {**told, **(_of_flat(source, built, config, tokenizer) if isinstance(source, FlatSource) else _of(source, config))}
    )


def _of(source: Source, config: BuildCoeConfig) -> dict[str, Any]:
    """What a manifest tells of conversations."""
    found = source.found
    notes = list(found.notes)
    if not source.seeds and "steer" in config.tasks:
        notes.append(f"no seeds ({source.seeds_from}): a model cannot learn to reason from this build; name a file in seeds")
    return {
        "corpus": found.corpus,
        "labels": list(found.labels),
        "prompt": config.prompt.model_dump(mode="json"),
        "clues": {"digest": found.clues.digest, **found.clues.sources},
        "seeds": {"count": len(source.seeds), "source": source.seeds_from},
        "dialogues": {side: len(found.of(side)) for side in SPLITS if found.of(side)},
        "deviations": found.deviations,
        "absent": found.absent,
        "removed": source.removed,
        "notes": notes,
        "made": source.made,
    }


def _of_flat(source: FlatSource, built: Built, config: BuildCoeConfig, tokenizer: Any) -> dict[str, Any]:
    """What a manifest tells of flat files; prompts of others are taken as they are, however long."""
    notes = ["taken in from flat files: nothing is known of clues and conversations"]
    everything = [e for sides in built.examples.values() for found in sides.values() for e in found]
    if tokenizer is not None:
        count = counter(tokenizer)
        long = sum(count(e.input) + count(e.target) + 2 > config.prompt.max_tokens for e in everything)
        if long:
            notes.append(
                f"{long} of {len(everything)} examples are longer than {config.prompt.max_tokens} tokens; build from conversations"
            )
    for task, sides in built.examples.items():
        learned = {e.input for e in sides.get("train", ())}
        for side in ("validation", "test"):
            if both := sum(e.input in learned for e in sides.get(side, ())):
                notes.append(f"{both} prompts of {task} for {side} stand in its train.json too, which flatters every figure")
    labels = next((s.labels for task in ("erc", "steer") for s in source.stages if s.task == task), ())
    return {
        "corpus": source.corpus,
        "labels": list(labels),
        "prompt": {"max_tokens": config.prompt.max_tokens, "answer_tokens": config.prompt.answer_tokens},
        "clues": {"digest": ""},
        "seeds": {"count": len(built.seeds), "source": flat.SEEDS if built.seeds else "none"},
        "dialogues": {},
        "deviations": [],
        "absent": source.absent,
        "removed": [],
        "notes": notes,
        "made": False,
    }


def _label_counts(built: Built) -> dict[str, dict[str, int]]:
    """Side to the number of lines of each label, seeds among them."""
    task = "erc" if "erc" in built.examples else "steer"
    sides: Mapping[str, list[ErcExample]] = built.examples.get(task, {})
    counts = {}
    for side, found in sides.items():
        numbers = Counter(e.gold for e in found)
        if task == "steer" and side == "train":
            numbers.update(e.gold for e in built.seeds)
        if numbers:
            counts[side] = dict(numbers)
    return counts
