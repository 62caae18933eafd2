"""From what is prepared to a finished build: which folders it reads, the examples, the leak report, the published lines."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.core.config import dump_config
from rapport.core.errors import RapportError
from rapport.core.examples import STAGES, Example, Stage
from rapport.core.schema import SPLITS, Utterance
from rapport.datasets.dialogues.emosc import read_dialogues
from rapport.datasets.emosds import build as parts
from rapport.datasets.emosds import splits
from rapport.datasets.emosds.examples import KIND, LEAKS, export_jsonl, read_examples, write_examples
from rapport.datasets.prepared import locate_prepared, open_prepared
from rapport.datasets.unit_store import UnitStore, open_units
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.prompts import choose_prompt, render
from rapport.models.units.sequence import units_to_text
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.emosds_data.units import choose_units
from rapport.ray_jobs.training_runs.run_folder import absolute

# Raise this when the same settings would give other examples.
FORMAT = 1
_PUBLISHED = {1: "asr", 2: "asr_ser", 3: "unified"}
_FREE = {"storage", "name", "codebook", "export"}


@dataclass(frozen=True)
class BuildPlan:
    """One build: what it reads and where it lies."""

    config: BuildEmosdsConfig
    folder: str
    corpora: dict[str, str]
    """Every prepared corpus by the name it was asked for, with its folder."""
    codebook: str | None
    """Hash of the codebook of all units; None when there are none, or they are not looked for."""
    units: dict[str, str]
    """The units of those corpora that have some of that codebook."""


def plan(config: BuildEmosdsConfig) -> BuildPlan:
    """What the build reads, which is part of its key, and its folder.

    Raises RapportError for a corpus that is not prepared and for dialogues that are not there.
    """
    root = absolute(config.storage)
    if not config.asr and not config.emotional:
        raise RapportError("neither asr nor emotional names a corpus: there is nothing to build from")
    if config.dialogues and not config.emotional:
        raise RapportError("dialogues need recordings with emotions: name prepared corpora with --emotional")
    corpora = {name: locate_prepared(root, name).rstrip("/") for name in dict.fromkeys((*config.asr, *config.emotional))}
    codebook, units = choose_units(root, corpora, config.codebook, config.name) if config.units == "auto" else (None, {})
    if config.dialogues and not storage.exists(config.dialogues):
        raise RapportError(f"no dialogues at {config.dialogues}: wanted the path of an EmoSC_dialogues.jsonl")
    made_from = {
        "format": FORMAT,
        "corpora": {name: path.rsplit("/", 1)[-1] for name, path in corpora.items()},
        "units": {name: path.rsplit("/", 1)[-1] for name, path in units.items()},
        "dialogues": hashlib.sha256(storage.read_bytes(config.dialogues)).hexdigest() if config.dialogues else None,
        "settings": config.model_dump(mode="json", exclude={*_FREE, "dialogues"}),
    }
    folder = storage.join(root, "features", KIND, config.name, storage.content_key(made_from))
    return BuildPlan(config, folder, corpora, codebook, units)


def build(plan: BuildPlan) -> None:
    """Make and write the examples.

    Raises RapportError when a stage that was asked for has nothing to train on.
    """
    config = plan.config
    rows = _rows(plan)
    fixed = parts.fixed_corpora((r for group in rows.values() for r in group), config.sides.fewest_sentences)
    left_out = Counter[str]()
    if config.sides.method == "disjoint":
        rows = _disjoint(rows, config, fixed)
    chosen: dict[str, list[Utterance]] = {}
    stores = {name: open_units(path) for name, path in plan.units.items()}
    for name, group in rows.items():
        if config.sides.method == "upstream":  # which draws sides of its own, and wants every row
            group = [row.with_split("train") for row in group]
        chosen[name], others = parts.usable(group, stores.get(name))
        left_out.update({f"{name}: {reason}": count for reason, count in others.items()})
    stages, more = _stages(plan, chosen)
    left_out.update(more)
    examples = parts.place(stages, config.emotions, config.sides, config.limits)
    examples = parts.with_prompts(examples, partial(choose_prompt, choice=config.prompts, seed=config.seed, count=100))
    if not examples:
        raise RapportError(f"nothing to build from: of {', '.join(plan.corpora)}, left out were {dict(left_out)}")
    report = splits.leaks(examples, fixed if config.sides.method != "upstream" else ())
    storage.write_bytes(storage.join(plan.folder, "config.yaml"), dump_config(config).encode())
    counts = write_examples(plan.folder, examples)
    storage.write_json(storage.join(plan.folder, LEAKS), report)
    storage.finish(
        plan.folder,
        {
            "kind": KIND,
            "format": FORMAT,
            "counts": counts,
            "stages": splits.describe(examples),
            "left_out": dict(left_out),
            "leak_free": report["clean"],
            "warnings": _warnings(config, report, counts, plan),
            "corpora": plan.corpora,
            "codebook": plan.codebook,
            "units": plan.units,
            "speech": {name: _speech(examples, store) for name, store in stores.items()},
            "emotions": list(config.emotions),
        },
    )


def export(plan: BuildPlan) -> dict[str, int]:
    """Write the published JSON lines below `jsonl/`; gives the number of lines by path.

    Raises RapportError when a corpus has no units.
    """
    lacking = [name for name in plan.corpora if name not in plan.units]
    if lacking:
        raise RapportError(f"export.jsonl writes units as text, and {', '.join(lacking)} has none: run extract_features --features units")
    store = open_units(plan.units.values())
    home = storage.join(plan.folder, "jsonl")
    model = EmosdsConfig(emotions=plan.config.emotions)
    files: dict[str, int] = {}
    if plan.config.export.residuals:
        ids = {e.utterance_id for stage in STAGES[1:] for split in SPLITS for e in read_examples(plan.folder, stage, split)}
        for utterance_id in sorted(ids):
            _write_residual(home, store, utterance_id)

    def as_text(example: Example) -> tuple[str, str]:
        found = render(example, model)
        return found.prefix(units_to_text(store.get(example.utterance_id, residuals=False).units)), found.target

    def residual(example: Example) -> tuple[int, str]:
        return store.lengths(example.utterance_id)[0], _residual_path(home, example.utterance_id)

    for stage in STAGES:
        for split, name in zip(SPLITS, ("train", "valid", "test"), strict=True):
            if examples := read_examples(plan.folder, stage, split):
                path = storage.join(home, _PUBLISHED[stage], f"{name}.jsonl")
                files[path] = export_jsonl(path, examples, as_text, residual if plan.config.export.residuals else None)
    return files


def _rows(plan: BuildPlan) -> dict[str, list[Utterance]]:
    """Rows by corpus, on the sides of their speakers."""
    method = plan.config.sides.method
    opened = {name: open_prepared(path) for name, path in plan.corpora.items()}
    if method == "disjoint":
        opened = {name: corpus.resplit(plan.config.sides.split) for name, corpus in opened.items()}
    return {name: corpus.rows for name, corpus in opened.items()}


def _disjoint(rows: Mapping[str, Sequence[Utterance]], config: BuildEmosdsConfig, fixed: Iterable[str]) -> dict[str, list[Utterance]]:
    """The rows on sides that hold over all corpora together."""
    split = config.sides.split
    together = [row for group in rows.values() for row in group]
    placed = iter(splits.disjoint_sides(together, shares=split.sentence_shares, fixed=fixed, seed=split.seed))
    return {name: [next(placed) for _ in group] for name, group in rows.items()}


def _stages(plan: BuildPlan, rows: Mapping[str, Sequence[Utterance]]) -> tuple[dict[Stage, list[Example]], Counter[str]]:
    """The examples of every stage before limits, and what was left out."""
    config = plan.config
    left_out = Counter[str]()
    stages: dict[Stage, list[Example]] = {}
    if config.asr:
        stages[1] = parts.asr_examples((row for name in config.asr for row in rows[name]), plain=config.plain_asr)
    emotional = [row for name in config.emotional for row in rows[name]]
    if emotional:
        stages[2] = parts.emotion_examples(emotional, config.emotions)
        others = Counter(str(row.emotion) for row in emotional if row.emotion not in config.emotions)
        left_out.update({f"stage 2: {emotion}": count for emotion, count in others.items()})
    if config.dialogues:
        found = read_dialogues(config.dialogues, faithful=config.sides.method == "upstream")
        stages[3], skipped = parts.dialogue_examples(emotional, found.scenarios, config.emotions, keep_case=config.keep_case)
        left_out.update({f"stage 3: {what}": count for what, count in skipped.items()})
        left_out.update({f"dialogues: {reason}": count for reason, count in Counter(line.reason for line in found.bad).items()})
    return stages, left_out


def _warnings(config: BuildEmosdsConfig, report: Mapping[str, Any], counts: Mapping[str, Any], plan: BuildPlan) -> list[str]:
    found = [
        f"{report[kind]['shared_count']} {kind} lie on more than one side, which flatters every figure (sides.method)"
        for kind in ("speakers", "dialogues", "sentences", "recordings")
        if report[kind]["shared_count"]
    ]
    if report["fixed_sentences"]:
        found.append(f"everybody says the same sentences in {', '.join(report['fixed_sentences'])}: their words are known when tested")
    found += [f"stage {stage} has nothing on the {split} side" for stage in counts for split in SPLITS if split not in counts[stage]]
    if config.units == "auto" and (lacking := [name for name in plan.corpora if name not in plan.units]):
        which = f" of codebook {plan.codebook[:12]}" if plan.codebook else ""
        found.append(
            f"no units{which} of {', '.join(lacking)} were extracted yet: utterances that cannot be encoded are still among the examples"
        )
    return found


def _speech(examples: Sequence[Example], store: UnitStore) -> dict[str, Any]:
    """Frames and merged units of the utterances of one corpus, each counted once."""
    ids = sorted({e.utterance_id for e in examples if e.utterance_id in store})
    lengths = np.array([store.lengths(name) for name in ids]).reshape(-1, 2)
    return {
        "codebook": store.codebook_hash,
        "utterances": len(ids),
        "frames": int(lengths[:, 0].sum()),
        "units": int(lengths[:, 1].sum()),
        "longest_frames": int(lengths[:, 0].max(initial=0)),
        "longest_units": int(lengths[:, 1].max(initial=0)),
    }


def _write_residual(home: str, store: UnitStore, utterance_id: str) -> None:
    residuals = store.get(utterance_id).residuals
    if residuals is None:
        raise RapportError("export.residuals: the units were extracted without residuals")
    sink = io.BytesIO()
    np.save(sink, residuals.astype(np.float32), allow_pickle=False)
    storage.write_bytes(_residual_path(home, utterance_id), sink.getvalue())


def _residual_path(home: str, utterance_id: str) -> str:
    return storage.join(home, "residuals", f"{utterance_id}.npy")
