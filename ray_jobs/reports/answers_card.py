"""The model card of a speech language model, in Hugging Face form: what it is for, how well it answers, on whom, and where it fails."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from rapport.ray_jobs.reports.answers import CONTRASTS, FIGURES, figure_range, figure_value
from rapport.ray_jobs.reports.model_card import TrainingData, shared_licence
from rapport.ray_jobs.reports.page import render

_HUB = (
    ("wer_normalised", "automatic-speech-recognition", "wer", "WER, normalised"),
    ("emotion_macro_f1", "audio-classification", "f1", "macro-F1 of the user's emotion"),
    ("reply_emotion_macro_f1", "text-generation", "f1", "macro-F1 of the reply's emotion"),
    ("bleu", "text-generation", "bleu", "BLEU of the reply"),
)
_DOES = {
    1: "Writes what is said.",
    2: "Tells the emotion of speech and writes what is said.",
    3: "Hears an utterance after a few turns of dialogue, and writes its emotion, its words, and a reply with an emotion of its own.",
}


def answers_card(
    name: str,
    saved: Mapping[str, Any],
    metrics: Mapping[str, Any],
    *,
    trained_on: Sequence[TrainingData],
    training: Mapping[str, Any],
) -> str:
    """The README.md of a model folder.

    `saved` is its config.json, `metrics` the result of `evaluate_emosds` whose first system it is, `training` facts on how it was trained
    (name to value; those that are None are left out).
    """
    model, lineage, about = saved["model"], saved["lineage"], metrics["about"]
    systems = metrics["systems"]
    system = systems[about["first"]]
    base = model["base"]
    languages = sorted({tag.split("-")[0] for corpus in trained_on for tag in corpus.languages})
    front: dict[str, Any] = {
        **({"language": languages} if languages else {}),
        **shared_licence(trained_on),
        # A hub id, which a path or URI is not.
        **({"base_model": base} if re.fullmatch(r"[\w.-]+/[\w.-]+", base) else {}),
        "library_name": "rapport",
        "pipeline_tag": "audio-text-to-text",
        "tags": ["speech", "emotion", "dialogue"],
        "datasets": [corpus.name for corpus in trained_on],
        "metrics": ["wer", "f1", "bleu"],
        "model-index": [{"name": name, "results": _results(system, about)}],
    }
    return render(
        "answers_card.md",
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120),
        name=name,
        does=_DOES[lineage["stage"]],
        model=model,
        about=about,
        system=system,
        others={other: found for other, found in systems.items() if other != about["first"]},
        figures=[row for row in FIGURES if row[0] in system["figures"]],
        contrasts=[row for row in CONTRASTS if row[0] in (system["contrast"] or {})],
        value=figure_value,
        range=figure_range,
        corpora=trained_on,
        training={key: value for key, value in training.items() if value is not None},
    )


def _results(system: Mapping[str, Any], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    dataset = {"name": f"examples of stage {about['stage']}", "type": "emosds", "split": about["split"]}
    found = ((task, kind, system["figures"].get(key, {}).get("value"), title) for key, task, kind, title in _HUB)
    return [
        {"task": {"type": task}, "dataset": dataset, "metrics": [{"type": kind, "value": round(value, 4), "name": title}]}
        for task, kind, value, title in found
        if value is not None
    ]
