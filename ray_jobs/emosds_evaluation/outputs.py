"""What an evaluation leaves behind: metrics and a page."""

import posixpath
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from rapport.core import storage
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.measure import Measured
from rapport.ray_jobs.emosds_evaluation.subject import Subject, facts
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.reports.answers import answers_page
from rapport.ray_jobs.reports.page import percent
from rapport.ray_jobs.training_runs.run_folder import absolute

METRICS, PREDICTIONS, PAGE = "metrics.json", "predictions.parquet", "index.html"
_BRIEF = (
    "wer",
    "wer_normalised",
    "cer_normalised",
    "emotion_macro_f1",
    "emotion_weighted_f1",
    "reply_emotion_macro_f1",
    "reply_emotion_weighted_f1",
    "bleu",
    "rouge_l",
    "meteor",
    "bert_score",
    "malformed",
)


def evaluation_folder(subject: Subject, config: EvaluateEmosdsConfig) -> str:
    """`<storage>/runs/evaluate_emosds/<name>`."""
    data = posixpath.basename(posixpath.dirname(subject.data))
    made = f"{subject.contenders[0].name}-{data}-stage{subject.stage}-{subject.split}"
    return storage.join(absolute(config.storage), "runs", "evaluate_emosds", config.name or made)


def figures(subject: Subject, measured: Mapping[str, Measured], config: EvaluateEmosdsConfig) -> dict[str, Any]:
    """`about`; `systems`, everything about each; `differences`, the first system less each other, with intervals of the difference."""
    reports = {name: found.report(config.resamples, config.seed) for name, found in measured.items()}
    first, *others = measured
    found = {
        "about": {
            "data": subject.data,
            "stage": subject.stage,
            "split": subject.split,
            "examples": len(subject.examples),
            "first": first,
            "seed": config.seed,
            "revision": revision(),
            "warnings": list(subject.warnings),
        },
        "systems": {c.name: {**facts(c), **reports[c.name]} for c in subject.contenders},
        "differences": {
            other: measured[first].tally.minus(measured[other].tally, resamples=config.resamples, seed=config.seed) for other in others
        },
    }
    # JSON has no NaN: an interval that a single speaker cannot give is null.
    plain: dict[str, Any] = from_json(to_json(found, inf_nan_mode="null"))
    return plain


def write_page(folder: str, subject: Subject, measured: Mapping[str, Measured], metrics: Mapping[str, Any]) -> str:
    """The page; gives its path."""
    shown = []
    for example in subject.examples:
        rows = {name: found.shown[example.example_id] for name, found in measured.items() if example.example_id in found.shown}
        if rows:
            shown.append({"example": example, "answers": rows})
    path = storage.join(folder, PAGE)
    storage.write_bytes(path, answers_page(metrics, shown).encode())
    return path


def brief(system: Mapping[str, Any]) -> dict[str, Any]:
    """A system's main figures in a few numbers."""
    values = {name: system["figures"][name]["value"] for name in _BRIEF if name in system["figures"]}
    proxy, contrast = system["teacher_forced"], system["contrast"]
    return {
        "kind": system["kind"],
        **values,
        "teacher_forced_token_accuracy": proxy and proxy["token_accuracy"],
        "contrast_followed": contrast and contrast.get("followed", {}).get("value"),
        "answers_per_s": system["answers_per_s"],
    }


def summary(system: Mapping[str, Any]) -> str:
    """One line for people."""
    named = {"wer_normalised": "WER", "emotion_macro_f1": "emotion macro-F1", "reply_emotion_macro_f1": "reply emotion macro-F1"}
    named |= {"malformed": "malformed"}
    return ", ".join(f"{title} {percent(system['figures'][key]['value'])}" for key, title in named.items() if key in system["figures"])
