"""The model card: a README that tells a stranger what a model is for, how good it is, on whom, and where it fails.

The front matter is in Hugging Face form, so that a model folder can be pushed to the hub as it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from rapport.datasets.card import has_card, read_card
from rapport.ray_jobs.reports.page import render

# Hugging Face's identifiers of licences that corpora carry, by the names that their cards use.
_LICENCES = {
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "ODbL 1.0": "odbl",
    "CC0 1.0": "cc0-1.0",
}


class Heard(Protocol):
    """What a card counts: utterances, or examples of them."""

    @property
    def speaker_id(self) -> str | None: ...
    @property
    def duration_s(self) -> float | None: ...


@dataclass(frozen=True)
class TrainingData:
    """One corpus that a model was trained on."""

    name: str
    title: str
    licence: str
    citation: str
    languages: tuple[str, ...]
    clips: int | None = None
    """Training clips; None when it is not known any more."""
    speakers: int | None = None
    hours: float | None = None


def training_data(name: str, rows: Sequence[Heard] | None = None) -> TrainingData:
    """What is known of a corpus: its card, and the counts of the training rows."""
    counts: dict[str, Any] = {}
    if rows is not None:
        speakers = {row.speaker_id for row in rows if row.speaker_id}
        counts = {"clips": len(rows), "speakers": len(speakers), "hours": sum(row.duration_s or 0 for row in rows) / 3600}
    if not has_card(name):
        return TrainingData(name, name, "unknown: ask the owner of the recordings", "", (), **counts)
    card = read_card(name)
    return TrainingData(name, card.title, card.licence, card.citation, tuple(card.languages), **counts)


def model_card(
    name: str,
    model: Mapping[str, Any],
    metrics: Mapping[str, Any],
    *,
    split: str,
    trained_on: Sequence[TrainingData],
    training: Mapping[str, Any],
    per_snr: Mapping[str, Any] | None = None,
) -> str:
    """The README.md of a classifier's folder.

    `model` is its config.json (the part called `model`), `metrics` the result of `classification_metrics` on `split`, `training` facts
    on how it was trained (name to value), `per_snr` further metrics by signal-to-noise ratio in dB.
    """
    languages = sorted({tag.split("-")[0] for corpus in trained_on for tag in corpus.languages})
    front: dict[str, Any] = {
        **({"language": languages} if languages else {}),
        **shared_licence(trained_on),
        "library_name": "rapport",
        "pipeline_tag": "audio-classification",
        "tags": ["speech", "speech-emotion-recognition", "audio-classification"],
        "datasets": [corpus.name for corpus in trained_on],
        "metrics": ["recall", "accuracy", "f1"],
        "model-index": [{"name": name, "results": [_result(corpus, part, split) for corpus, part in metrics["per_corpus"].items()]}],
    }
    encoder = model["encoder"]
    return render(
        "model_card.md",
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120),
        name=name,
        encoder="log-mel frames, a convolutional network and a GRU, trained from scratch"
        if encoder["name"] == "logmel"
        else encoder["name"],
        emotions=model["emotions"],
        window_s=model["decoding"]["window_s"],
        temperature=model["decoding"]["temperature"],
        metrics=metrics,
        split=split,
        corpora=trained_on,
        training=training,
        per_snr=per_snr or {},
        weakest=_weakest(metrics),
    )


def shared_licence(corpora: Sequence[TrainingData]) -> dict[str, str]:
    """The licence that all corpora share, as front matter; without one, whoever passes the model on must look at each."""
    found = {_LICENCES.get(corpus.licence) for corpus in corpora}
    shared = found.pop() if len(found) == 1 else None
    return {"license": shared} if shared else {"license": "other", "license_name": "see-training-data"}


def _result(corpus: str, part: Mapping[str, Any], split: str) -> dict[str, Any]:
    names = [("uar", "recall", "UAR (unweighted average recall)"), ("wa", "accuracy", "WA (accuracy)"), ("macro_f1", "f1", "macro-F1")]
    return {
        "task": {"type": "audio-classification", "name": "Speech emotion recognition"},
        "dataset": {"name": corpus, "type": re.sub(r"[^\w.-]+", "-", corpus), "split": split},
        "metrics": [{"type": kind, "value": round(part[key], 4), "name": title} for key, kind, title in names],
    }


def _weakest(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """The emotion with the lowest recall, and what it is most often taken for; None when every clip was recognised."""
    recalls = {name: part["recall"] for name, part in metrics["per_class"].items() if part["recall"] is not None}
    name = min(recalls, key=recalls.__getitem__)
    labels, row = metrics["labels"], list(metrics["confusion"][metrics["labels"].index(name)])
    row[labels.index(name)] = 0
    if not any(row):
        return None
    return {"emotion": name, "recall": recalls[name], "taken_for": labels[row.index(max(row))]}
