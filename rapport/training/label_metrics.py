"""Figures of labels that answer questions about lines of conversations, with intervals by dialogue, and what sets two answerers apart.

    tally = LabelTally(labels, questions, [answers])            # answers: question to label; anything else is invalid, and wrong
    tally.report()["figures"]["weighted_f1"]                    # {"value": 0.41, "low": 0.38, "high": 0.44}
    tally.minus(other)["weighted_f1"]                           # the same of the difference, dialogues drawn for both at once

Several runs of the same settings, which differ by their seed, make one tally: its figures are the means over the runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from rapport.core.errors import RapportError
from rapport.training.metrics import LEVEL, FloatArray, resampled_sums, resampling_units, with_intervals
from rapport.training.text_scores import Emotions

FIGURES = ("weighted_f1", "macro_f1", "accuracy", "invalid")


@dataclass(frozen=True, slots=True)
class Question:
    """A line whose label is asked for."""

    name: str
    """Answers are joined by it."""
    dialogue: str
    """Lines of one dialogue are alike: dialogues are what is drawn again."""
    gold: str


class LabelTally:
    """Sums over the answers of one or several runs, by dialogue."""

    def __init__(self, labels: Sequence[str], questions: Sequence[Question], runs: Sequence[Mapping[str, str]]) -> None:
        """`runs` hold a label for every question each.

        Raises RapportError for a question without an answer and for one whose right label is not among the labels.
        """
        self.labels = tuple(labels)
        self.questions = sorted(questions, key=lambda question: question.name)
        if not self.questions or not runs:
            raise RapportError("no question was answered: wanted at least one line with a label, and one run")
        golds = [question.gold for question in self.questions]
        if odd := sorted(set(golds) - set(labels)):
            raise RapportError(f"lines have the label {', '.join(odd)}: wanted one of {', '.join(labels)}")
        self._emotions = Emotions(labels)
        self._units, self.unit = _units([question.dialogue for question in self.questions])
        self._rows, self._right = [], []
        for run in runs:
            if missing := [question.name for question in self.questions if question.name not in run]:
                raise RapportError(f"{len(missing)} of {len(golds)} questions have no answer, such as {missing[0]}")
            given = [run[question.name] for question in self.questions]
            self._rows.append(self._emotions.statistics(golds, given))
            self._right.append(np.array([g == w for g, w in zip(given, golds, strict=True)]))

    @property
    def runs(self) -> int:
        """How many runs the figures are means of."""
        return len(self._rows)

    def report(self, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
        """`count` of questions, `figures` (name to value, low, high), `confusion` (labels, and counts [E, E + 1], whose last column is for
        invalid answers; summed over the runs), `interval` (how it was made), and over several runs `over_runs`: mean and deviation with one
        degree of freedom taken off."""
        sums = self._sums()
        found = {
            "count": len(self.questions),
            "figures": with_intervals(sums, self._figures, resamples, seed),
            "confusion": {
                "labels": list(self.labels),
                "counts": self._emotions.confusion(sums.reshape(-1, self.runs, self._emotions.width).sum((0, 1))).tolist(),
            },
            "interval": {"level": LEVEL, "unit": self.unit, "units": len(sums), "resamples": resamples},
        }
        return {**found, "over_runs": self._over_runs(sums.sum(0))} if self.runs > 1 else found

    def minus(self, other: "LabelTally", *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
        """Each figure less that of other answers to the same questions, with the interval of the difference: the same dialogues are drawn
        for both, so that what is hard for both does not blur it.

        Also `p_value`, two-sided, of the difference in weighted F1 by the same draws, and for one run against one `mcnemar`: the questions
        that only the one and only the other has right, and the exact two-sided `p_value` for as many, taking lines for independent.
        Raises ValueError when the two answer other questions.
        """
        if self.questions != other.questions or self.labels != other.labels:
            raise ValueError(f"answers to {len(self.questions)} and to {len(other.questions)} other questions cannot be compared")
        both, width = np.concatenate([self._sums(), other._sums()], axis=1), self.runs * self._emotions.width

        def differences(sums: FloatArray) -> dict[str, FloatArray]:
            first, second = self._figures(sums[..., :width]), other._figures(sums[..., width:])
            return {name: first[name] - second[name] for name in first}

        found: dict[str, Any] = with_intervals(both, differences, resamples, seed)
        drawn = np.concatenate([differences(sums)["weighted_f1"] for sums in resampled_sums(both, resamples, seed)])
        found["p_value"] = two_sided(drawn) if len(both) > 1 else None
        if self.runs == other.runs == 1:
            found["mcnemar"] = mcnemar(self._right[0], other._right[0])
        return found

    def _sums(self) -> FloatArray:
        """[U, M * K] sums over each dialogue, run after run."""
        rows = np.concatenate(self._rows, axis=1)
        sums = np.zeros((int(self._units.max()) + 1, rows.shape[1]))
        np.add.at(sums, self._units, rows)
        return sums

    def _figures(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Every figure [...] of sums [..., M * K], as the mean over the runs."""
        return {name: values.mean(-1) for name, values in self._by_run(sums).items()}

    def _by_run(self, sums: FloatArray) -> dict[str, FloatArray]:
        """Every figure [..., M] of sums [..., M * K]."""
        each = sums.reshape(*sums.shape[:-1], self.runs, self._emotions.width)
        counts = each.reshape(*each.shape[:-1], len(self.labels), len(self.labels) + 1)
        return {**self._emotions.scores(each), "invalid": counts[..., -1].sum(-1) / counts.sum((-2, -1))}

    def _over_runs(self, total: FloatArray) -> dict[str, dict[str, float]]:
        found = self._by_run(total)
        return {name: {"mean": float(found[name].mean()), "deviation": float(found[name].std(ddof=1))} for name in FIGURES}


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> dict[str, float | int]:
    """McNemar's exact test of two [N] of which each question is right: `only_first`, `only_second`, and the two-sided `p_value`."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    p_value = float(binomtest(only_first, differ).pvalue) if differ else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}


def two_sided(drawn: FloatArray) -> float:
    """Twice the share of drawn differences [R] on the rarer side of zero: never 0, as no number of draws shows that."""
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1))


def _units(dialogues: Sequence[str]) -> tuple[npt.NDArray[np.int64], str]:
    """[N] the number of what is drawn again, and what it is: `dialogue`, or `line` where there is but one."""
    groups, unit = resampling_units(dialogues)
    return groups, "dialogue" if unit == "speaker" else "line"
