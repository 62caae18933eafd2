"""What an evaluation leaves behind: metrics, a page, and the model card."""

import posixpath
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.examples import STAGES
from rapport.datasets.emosds.examples import read_examples
from rapport.models.saving import CARD
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.measure import Measured
from rapport.ray_jobs.emosds_evaluation.subject import Subject, facts
from rapport.ray_jobs.emosds_training.run_folder import stage_folder
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.reports.answers import answers_page
from rapport.ray_jobs.reports.answers_card import answers_card
from rapport.ray_jobs.reports.model_card import TrainingData, training_data
from rapport.ray_jobs.reports.page import percent
from rapport.ray_jobs.training_runs.run_folder import absolute, finished_result, sources_of, state_of
from rapport.training.contrasts import FIGURES as CONTRASTS

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
        "differences": {other: measured[first].minus(measured[other], config.resamples, config.seed) for other in others},
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


def write_card(subject: Subject, metrics: Mapping[str, Any], config: EvaluateEmosdsConfig) -> str:
    """The model card in the folder of the first contender; gives its path.

    Raises RapportError when the folder cannot be written to.
    """
    model = subject.contenders[0].model
    saved = storage.read_json(storage.join(model, "config.json"))
    trained_on, training = _training(absolute(config.storage), model, saved["lineage"])
    training["code revision of this evaluation"] = metrics["about"]["revision"]
    card = answers_card(posixpath.basename(model), saved, metrics, trained_on=trained_on, training=training)
    path = storage.join(model, CARD)
    try:
        storage.write_bytes(path, card.encode())
    except OSError as error:
        raise RapportError(f"the model card cannot be written to {path} ({error}): set write_card to false") from error
    return path


def _training(root: str, model: str, lineage: Mapping[str, Any]) -> tuple[list[TrainingData], dict[str, Any]]:
    """The corpora that a model was trained on, and facts on its last stage, as far as its run lies below the same root."""
    codebook = lineage["codebook_hash"]
    facts: dict[str, Any] = {"stages": lineage["stage"], "codebook": codebook and codebook[:12]}
    stage = next((s for s in STAGES if model.endswith(f"-stage-{s}")), None)
    if stage is None:
        return [], facts
    folder = stage_folder(root, posixpath.basename(model).removesuffix(f"-stage-{stage}"), stage)
    if state_of(folder) != "finished":
        return [], facts
    result = finished_result(folder)
    if result["model"] != model:
        return [], facts
    names = {"epochs": "epochs", "epoch": "selected epoch", "parameters": "parameters", "trained_parameters": "trained parameters"}
    facts |= {"seed": result["seed"], **{f"{title}, last stage": result[key] for key, title in names.items()}}
    data = sources_of(folder)["examples"]
    if not storage.is_complete(data):
        return [], facts
    rows = [row for s in STAGES if s <= stage for row in read_examples(data, s, "train")]
    return [training_data(name, [row for row in rows if row.corpus == name]) for name in Counter(row.corpus for row in rows)], facts


def brief(system: Mapping[str, Any]) -> dict[str, Any]:
    """A system's main figures in a few numbers."""
    values = {name: system["figures"][name]["value"] for name in _BRIEF if name in system["figures"]}
    proxy, contrast = system["teacher_forced"], system["contrast"]
    return {
        "kind": system["kind"],
        **values,
        "teacher_forced_token_accuracy": proxy and proxy["token_accuracy"],
        **{name: contrast[name]["value"] for name in CONTRASTS if contrast and name in contrast},
        "answers_per_s": system["answers_per_s"],
    }


def summary(system: Mapping[str, Any]) -> str:
    """One line for people."""
    named = {"wer_normalised": "WER", "emotion_macro_f1": "emotion macro-F1", "reply_emotion_macro_f1": "reply emotion macro-F1"}
    named |= {"malformed": "malformed"}
    return ", ".join(f"{title} {percent(system['figures'][key]['value'])}" for key, title in named.items() if key in system["figures"])
