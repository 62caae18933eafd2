"""What an evaluation leaves behind: metrics, predictions, a page, and the model card."""

import posixpath
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pyarrow as pa
from pydantic_core import from_json, to_json

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.erc.templates import line_key
from rapport.models.saving import CARD
from rapport.ray_jobs.coe_evaluation.asking import line_name
from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig
from rapport.ray_jobs.coe_evaluation.lineage import record, times_on_test
from rapport.ray_jobs.coe_evaluation.measure import Measured, tally_of
from rapport.ray_jobs.coe_evaluation.subject import Contender, Subject
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.reports.conversations import conversations_page
from rapport.ray_jobs.reports.conversations_card import conversations_card
from rapport.ray_jobs.reports.page import percent
from rapport.ray_jobs.training_runs.run_folder import absolute
from rapport.training.label_metrics import FIGURES, LabelTally

METRICS, PREDICTIONS, PAGE = "metrics.json", "predictions.parquet", "index.html"
_BEFORE = 4  # lines of history to show on the page

PREDICTION_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("system", "example_id", "dialogue", "gold", "predicted", "how")),
        pa.field("probabilities", pa.map_(pa.string(), pa.float32())),
        pa.field("text", pa.string()),
        pa.field("rationale", pa.string()),
    ]
)
"""`predictions.parquet`: a row for each system and line; `predicted` is a label or `invalid`, `how` tells what it was found by."""


def evaluation_folder(subject: Subject, config: EvaluateCoeConfig) -> str:
    """`<storage>/runs/evaluate_coe/<name>`."""
    made = f"{subject.contenders[0].name}-{subject.store.manifest['name']}-{subject.side}-{_method(subject)}"
    return storage.join(absolute(config.storage), "runs", "evaluate_coe", config.name or made)


def write_records(subject: Subject, measured: Mapping[str, Measured], config: EvaluateCoeConfig, folder: str) -> list[str]:
    """Write down in every model's folder that it was measured; gives warnings where that cannot be done."""
    found = []
    for contender in _models(subject):
        value = measured[contender.name].tally.report(resamples=100)["figures"]["weighted_f1"]["value"]
        entry = {
            "evaluation": folder,
            "data": subject.store.digest,
            "side": subject.side,
            "method": contender.method,
            "mapping": config.mapping,
            "lines": len(subject.questions),
            "weighted_f1": value,
        }
        found.append(record(contender.folder, entry))
    return [warning for warning in found if warning]


def figures(
    subject: Subject,
    measured: Mapping[str, Measured],
    config: EvaluateCoeConfig,
    validation: Mapping[str, Any] | None = None,
    warnings: tuple[str, ...] = (),
) -> dict[str, Any]:
    """`about`; `systems`, everything about each; `differences`, the first system less each other, with intervals and tests; `groups`, the
    same of models that differ by their seed, and `group_differences`, the first group less each other; `validation` of the first."""
    options = {"resamples": config.resamples, "seed": config.seed}
    names = [contender.name for contender in subject.contenders]
    groups = {name: _group(subject, measured, members) for name, members in subject.groups.items()}
    found = {
        "about": {
            "first": names[0],
            "systems": names,
            "groups": list(groups),
            "data": subject.store.folder,
            "data_name": subject.store.manifest["name"],
            "corpus": subject.store.corpus,
            "made": subject.store.made,
            "digest": subject.store.digest,
            "labels": list(subject.labels),
            "side": subject.side,
            "method": _method(subject),
            "mapping": config.mapping,
            "lines": len(subject.questions),
            "dialogues": len({line_key(question.example_id).dialogue_id for question in subject.questions}),
            "golds": _golds(subject),
            "times_on_test": {model.name: times_on_test(model.folder) for model in _models(subject)},
            "seed": config.seed,
            "revision": revision(),
            "notes": list(subject.notes),
            "warnings": [*subject.warnings, *warnings],
        },
        "systems": {c.name: {**_facts(c), **measured[c.name].report(**options)} for c in subject.contenders},
        "differences": {name: measured[names[0]].tally.minus(measured[name].tally, **options) for name in names[1:]},
        "groups": {name: {"members": list(subject.groups[name]), **tally.report(**options)} for name, tally in groups.items()},
        "group_differences": _group_differences(groups, options),
        "validation": validation,
    }
    # JSON has no NaN: an interval that a single dialogue cannot give is null.
    plain: dict[str, Any] = from_json(to_json(found, inf_nan_mode="null"))
    return plain


def write_predictions(folder: str, subject: Subject, measured: Mapping[str, Measured]) -> None:
    """What every system says of every line."""
    rows = []
    for name, one in measured.items():
        for question in subject.questions:
            answer = one.answers[line_name(question.example_id)]
            rows.append(
                {
                    "system": name,
                    "example_id": question.example_id,
                    "dialogue": line_key(question.example_id).dialogue_id,
                    "gold": question.gold,
                    "predicted": answer.label,
                    "how": answer.how,
                    "probabilities": None if answer.probabilities is None else list(answer.probabilities.items()),
                    "text": answer.text,
                    "rationale": answer.rationale,
                }
            )
    storage.write_table(storage.join(folder, PREDICTIONS), pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA))


def write_page(folder: str, subject: Subject, measured: Mapping[str, Measured], metrics: Mapping[str, Any], shown: int) -> str:
    """The page; gives its path."""
    path = storage.join(folder, PAGE)
    page = conversations_page(metrics, shown_lines(subject, measured, shown, metrics["about"]["seed"]))
    storage.write_bytes(path, page.encode())
    return path


def shown_lines(subject: Subject, measured: Mapping[str, Measured], most: int, seed: int) -> list[dict[str, Any]]:
    """Lines for the page, drawn by the seed: what was said before, scene and personas, and what each system says."""
    chosen = Random(seed).sample(subject.questions, min(most, len(subject.questions)))
    found = []
    for question in sorted(chosen, key=lambda question: question.example_id):
        key = line_key(question.example_id)
        talk = (subject.conversations or {}).get((key.split, key.dialogue_id))
        lines = talk.lines[max(0, key.turn - _BEFORE) : key.turn + 1] if talk else ()
        found.append(
            {
                "example_id": question.example_id,
                "gold": question.gold,
                "prompt": question.input,
                "lines": [{"speaker": line.speaker, "text": line.text} for line in lines],
                "answers": {name: one.answers[line_name(question.example_id)] for name, one in measured.items()},
            }
        )
    return found


def write_card(subject: Subject, metrics: Mapping[str, Any]) -> str:
    """The model card in the folder of the first model; gives its path.

    Raises RapportError when the folder cannot be written to.
    """
    first = subject.contenders[0]
    saved = storage.read_json(storage.join(first.folder, "config.json"))
    path = storage.join(first.folder, CARD)
    try:
        storage.write_bytes(path, conversations_card(posixpath.basename(first.folder), saved, metrics).encode())
    except OSError as error:
        raise RapportError(f"the model card cannot be written to {path} ({error}): set write_card to false") from error
    return path


def brief(report: Mapping[str, Any]) -> dict[str, Any]:
    """Main figures of a system or of a group in a few numbers."""
    found = {name: report["figures"][name]["value"] for name in FIGURES}
    found |= {f"{name}_deviation": over["deviation"] for name, over in report.get("over_runs", {}).items() if name == "weighted_f1"}
    for task, told in report.get("tasks", {}).items():
        found |= {f"{task}_{name}": figure["value"] for name, figure in told["figures"].items()}
    return found


def summary(metrics: Mapping[str, Any]) -> str:
    """One line for people."""
    about = metrics["about"]
    first = metrics["systems"][about["first"]]["figures"]
    told = f"weighted F1 {percent(first['weighted_f1']['value'])}, accuracy {percent(first['accuracy']['value'])}"
    if "majority" in metrics["systems"]:
        told += f"; the majority has {percent(metrics['systems']['majority']['figures']['weighted_f1']['value'])}"
    return told


def _method(subject: Subject) -> str:
    """How the models are asked; `auto` where it is not the same for all."""
    methods = {model.method for model in _models(subject)}
    return methods.pop() if len(methods) == 1 else "auto"


def _models(subject: Subject) -> list[Contender]:
    return [contender for contender in subject.contenders if contender.kind == "model"]


def _facts(contender: Contender) -> dict[str, Any]:
    asked = {"method": contender.method} if contender.folder else {}
    return {"kind": contender.kind, "what": contender.what, "model": contender.folder or None, **asked}


def _golds(subject: Subject) -> dict[str, int]:
    """How many lines have each label."""
    counts = Counter(question.gold for question in subject.questions)
    return {label: counts[label] for label in subject.labels}


def _group(subject: Subject, measured: Mapping[str, Measured], members: tuple[str, ...]) -> LabelTally:
    return tally_of(subject, subject.questions, [measured[name].answers for name in members])


def _group_differences(groups: Mapping[str, LabelTally], options: Mapping[str, int]) -> dict[str, Any]:
    """The first group less each other; nothing of a single group."""
    if len(groups) < 2:
        return {}
    first, *others = groups
    return {name: groups[first].minus(groups[name], **options) for name in others}
