"""The model card of a model of head motion, in Hugging Face form: what it is for, how well it moves, on whom, and where it fails."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from rapport.models.listener.config import ListenerConfig
from rapport.ray_jobs.reports.listener import BY_FOLD, GROUPS, figure_range, figure_value, fold_rows, in_order, verdict
from rapport.ray_jobs.reports.model_card import TrainingData, shared_licence
from rapport.ray_jobs.reports.page import render

_SHOWN = (
    "offset_removed_mae_deg",
    "mae_deg",
    "geodesic_deg",
    "velocity_mae_deg_s",
    "correlation",
    "lagged_correlation",
    "lag_s",
    "variance_ratio",
    "std_ratio",
    "speed_wasserstein_deg_s",
    "spectrum_error_db",
    "frechet_deg2",
    "nods_per_minute",
)
_HUB = (("offset_removed_mae_deg", "mae"), ("lagged_correlation", "pearsonr"))


def listener_card(
    name: str,
    model: ListenerConfig,
    metrics: Mapping[str, Any],
    *,
    trained_on: Sequence[TrainingData],
    training: Mapping[str, Any],
    folds: Sequence[str],
) -> str:
    """The README.md of a model folder, or of the folder of its folds.

    `metrics` is the result of `evaluate_listener` whose first system it is, `training` facts on how it was trained (name to value), and
    `folds` the names of the folders of its folds, if there are any.
    """
    about = metrics["about"]
    systems = in_order(metrics)
    system = systems[about["first"]]
    figures = [figure for group in GROUPS.values() for figure in group if figure.key in _SHOWN and figure.key in system["figures"]]
    languages = sorted({tag.split("-")[0] for corpus in trained_on for tag in corpus.languages})
    front: dict[str, Any] = {
        **({"language": languages} if languages else {}),
        **shared_licence(trained_on),
        "library_name": "rapport",
        "tags": ["speech", "head-motion", "listener", "nonverbal"],
        "datasets": [corpus.name for corpus in trained_on],
        "metrics": [kind for _, kind in _HUB],
        "model-index": [{"name": name, "results": _results(system, about)}],
    }
    return render(
        "listener_card.md",
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120),
        name=name,
        model=model,
        about=about,
        system=system,
        others={other: found for other, found in systems.items() if other != about["first"] and found["kind"] != "drawn"},
        drawn=next((found for found in systems.values() if found["kind"] == "drawn"), None),
        figures=figures,
        by_fold=_by_fold(metrics),
        verdict=verdict(metrics),
        planted=metrics["planted"],
        corpora=trained_on,
        folds=folds,
        training=training,
        value=figure_value,
        range=figure_range,
    )


def _by_fold(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The first system's figures of each fold, with their titles."""
    first = metrics["about"]["first"]
    figures = {figure.key: figure for group in GROUPS.values() for figure in group}
    parts = [fold_rows(figures[key], metrics) for key in BY_FOLD]
    return [{"title": part["figure"].title, **part["rows"][first]} for part in parts if first in part["rows"]]


def _results(system: Mapping[str, Any], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = [(key, kind, system["figures"].get(key, {}).get("value")) for key, kind in _HUB]
    metrics = [{"type": kind, "value": round(value, 4), "name": key} for key, kind, value in found if value is not None]
    if not metrics:
        return []
    dataset = {"name": "IEMOCAP, made twin" if about["made"] else "IEMOCAP", "type": "iemocap", "split": "sessions held out in turn"}
    return [{"task": {"type": "head-motion", "name": "Head motion of a listener"}, "dataset": dataset, "metrics": metrics}]
