"""Figures of merit of a classifier, all derived from confusion matrices and class probabilities.

UAR is the unweighted average of the recalls, WA ("weighted accuracy") is plain accuracy, macro-F1 the unweighted average of the F1 values;
each averages over the classes that occur among the targets, so that a corpus which lacks an emotion is not punished for it. The numbers
equal scikit-learn's, but come from stacks of confusion matrices, so that a bootstrap of thousands of resamples is one matrix product.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
SCORES = ("uar", "wa", "macro_f1")


def confusion_counts(targets: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> IntArray:
    """How often class i was called j, as counts [E, E] with the true class along the rows.

    Raises ValueError when the two differ in length or hold an index outside 0 … classes - 1.
    """
    true, called = _indices(targets, classes), _indices(predictions, classes)
    if true.shape != called.shape:
        raise ValueError(f"{len(true)} targets but {len(called)} predictions")
    return np.bincount(true * classes + called, minlength=classes * classes).reshape(classes, classes)


def scores_of(confusion: npt.ArrayLike) -> dict[str, FloatArray]:
    """`uar`, `wa` and `macro_f1` of every confusion matrix in a stack [..., E, E]; NaN where a matrix holds no clip."""
    counts = np.asarray(confusion, dtype=np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    support, called = counts.sum(-1), counts.sum(-2)
    present = support > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(present, right / support, 0.0)
        f1 = np.where(present, 2 * right / (support + called), 0.0)
        return {
            "uar": recall.sum(-1) / present.sum(-1),
            "wa": right.sum(-1) / support.sum(-1),
            "macro_f1": f1.sum(-1) / present.sum(-1),
        }


def unweighted_average_recall(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """The mean over classes that occur in `targets` of the share recognised; NaN without targets."""
    classes = int(max(np.max(targets, initial=0), np.max(predictions, initial=0))) + 1
    return float(scores_of(confusion_counts(targets, predictions, classes))["uar"])


def calibration(targets: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = 15) -> dict[str, Any]:
    """How far the probabilities [N, E] can be believed.

    `ece` is the expected calibration error of the winning class over equal-width bins (Guo et al. 2017), `brier` the mean squared
    distance to the one-hot target summed over classes (0 best, 2 worst), `nll` the mean negative log likelihood in nats, and
    `bins` the reliability diagram: count, mean confidence and accuracy of each bin that holds a clip.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    true = _indices(targets, scores.shape[1])
    confidence, right = scores.max(1), scores.argmax(1) == true
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    mean_confidence = np.bincount(place, confidence, bins)[held] / count[held]
    accuracy = np.bincount(place, right, bins)[held] / count[held]
    chosen = scores[np.arange(len(true)), true]
    return {
        "ece": float((count[held] / len(true)) @ np.abs(mean_confidence - accuracy)),
        "brier": float(np.mean((scores**2).sum(1) - 2 * chosen + 1)),
        "nll": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
        "bins": [
            {"low": i / bins, "high": (i + 1) / bins, "count": int(count[i]), "confidence": float(c), "accuracy": float(a)}
            for i, c, a in zip(np.flatnonzero(held).tolist(), mean_confidence, accuracy, strict=True)
        ],
    }


def bootstrap_interval(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    speakers: Sequence[str | None],
    classes: int,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """The central 95 % range of each score when the speakers are drawn again with replacement.

    Clips of one speaker are alike, so speakers are the unit that is drawn; a clip without a speaker is a unit of its own, and with a
    single speaker the clips are drawn instead (`unit` says which). Gives `uar`, `wa`, `macro_f1` as [low, high], and how it was made.
    """
    true, called = _indices(targets, classes), _indices(predictions, classes)
    groups, unit = resampling_units(speakers)
    units = int(groups.max(initial=-1)) + 1
    cell = (groups * classes + true) * classes + called
    matrices = np.bincount(cell, minlength=units * classes * classes).reshape(units, classes * classes).astype(np.float64)
    draws = [scores_of(drawn.reshape(-1, classes, classes)) for drawn in resampled_sums(matrices, resamples, seed)]
    ranges = {name: central_range(np.concatenate([d[name] for d in draws])) for name in SCORES}
    return {**ranges, "level": LEVEL, "unit": unit, "units": units, "resamples": resamples}


def resampling_units(speakers: Sequence[str | None]) -> tuple[IntArray, str]:
    """[N] the number of each clip's unit, counted from 0, and what a unit is: `speaker`, or `utterance` where all are one speaker's."""
    names = [f"speaker {s}" if s is not None else f"clip {i}" for i, s in enumerate(speakers)]
    groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return (groups, "speaker") if groups.max(initial=0) else (np.arange(len(names)), "utterance")


def resampled_sums(sums: FloatArray, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Sums over units drawn with replacement, as many as there are, from the sums [U, K] of each: [R, K] at a time."""
    random = np.random.default_rng(seed)
    units = len(sums)
    for start in range(0, resamples, 250):  # bounded memory: the weights of 250 resamples at a time
        yield random.multinomial(units, np.full(units, 1 / units), size=min(250, resamples - start)) @ sums


def central_range(draws: FloatArray) -> list[float]:
    """[low, high] between which the central 95 % of the draws [R] lie; NaN where every draw is undefined."""
    found = draws[~np.isnan(draws)]
    return np.percentile(found, [50 * (1 - LEVEL), 50 * (1 + LEVEL)]).tolist() if len(found) else [math.nan, math.nan]


def with_intervals(
    sums: FloatArray, figures: Callable[[FloatArray], Mapping[str, FloatArray]], resamples: int, seed: int
) -> dict[str, dict[str, float]]:
    """Each defined figure of the sums over units [U, K]: its `value`, and `low` and `high` of the central 95 % when units are drawn again.

    With a single unit there is no interval: both are NaN.
    """
    values = {name: float(value) for name, value in figures(sums.sum(0)).items() if not np.isnan(value)}
    drawn = [figures(draw) for draw in resampled_sums(sums, resamples, seed)] if len(sums) > 1 else []
    found = {}
    for name, value in values.items():
        low, high = central_range(np.concatenate([d[name] for d in drawn])) if drawn else (float("nan"), float("nan"))
        found[name] = {"value": value, "low": low, "high": high}
    return found


def classification_metrics(
    targets: npt.ArrayLike,
    predictions: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    speakers: Sequence[str | None],
    corpora: Sequence[str],
    labels: Sequence[str],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything reported about N clips, as plain JSON values: `uar`, `wa`, `macro_f1`, `count`, `labels`, `confusion`, `per_class`,
    `per_corpus`, `calibration` and `interval`.

    `targets` and `predictions` [N] index into `labels`; `probabilities` is [N, E]. A class or score that is undefined, such as the
    recall of a class no clip has, is None. Raises ValueError when the arrays differ in length or nothing was given.
    """
    true, called = _indices(targets, len(labels)), _indices(predictions, len(labels))
    scores = np.asarray(probabilities, dtype=np.float64)
    if not (len(true) == len(called) == len(scores) == len(speakers) == len(corpora)) or not len(true):
        lengths = [len(true), len(called), len(scores), len(speakers), len(corpora)]
        raise ValueError(f"wanted as many targets, predictions, probabilities, speakers and corpora, and at least one; got {lengths}")
    if scores.shape[1:] != (len(labels),):
        raise ValueError(f"wanted probabilities of {len(labels)} classes, got an array of shape {scores.shape}")
    confusion = confusion_counts(true, called, len(labels))

    def overall(rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
        some = np.flatnonzero(rows)
        counts = confusion_counts(true[some], called[some], len(labels))
        chosen = [speakers[i] for i in some.tolist()]
        interval = bootstrap_interval(true[some], called[some], chosen, len(labels), resamples=resamples, seed=seed)
        return {**{name: float(value) for name, value in scores_of(counts).items()}, "count": len(some), "interval": interval}

    names = np.asarray(corpora)
    return {
        **overall(np.ones(len(true), dtype=bool)),
        "labels": list(labels),
        "confusion": confusion.tolist(),
        "per_class": _per_class(confusion, labels),
        "per_corpus": {str(name): overall(names == name) for name in np.unique(names)},
        "calibration": calibration(true, scores),
    }


def _per_class(confusion: IntArray, labels: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    right, support, called = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return {
        label: {
            "precision": share(int(right[i]), int(called[i])),
            "recall": share(int(right[i]), int(support[i])),
            "f1": share(2 * int(right[i]), int(support[i] + called[i])) if support[i] else None,
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    }


def _indices(values: npt.ArrayLike, classes: int) -> IntArray:
    found = np.asarray(values, dtype=np.int64).reshape(-1)
    if len(found) and not 0 <= found.min() <= found.max() < classes:
        raise ValueError(f"class indices must lie in 0 … {classes - 1}; found {found.min()} … {found.max()}")
    return found
