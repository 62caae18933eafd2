"""From answers to figures: what every contender says of every line, and what else the models were asked."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.core.conversations import ErcExample
from rapport.models.erc.templates import line_key
from rapport.ray_jobs.coe_evaluation import tasks
from rapport.ray_jobs.coe_evaluation.asking import Answer, answers, line_name, reference
from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig
from rapport.ray_jobs.coe_evaluation.lineage import fingerprint
from rapport.ray_jobs.coe_evaluation.subject import Contender, Subject, drawn
from rapport.training.label_metrics import LabelTally, Question
from rapport.training.metrics import calibration

PARTS = "parts"


@dataclass(frozen=True)
class Measured:
    """What one contender says of every line, by `line_name`."""

    answers: Mapping[str, Answer]
    tally: LabelTally
    seconds: float
    """Loading included; of an evaluation that went on after a kill, what was left of it."""
    tasks: Mapping[str, Any] = field(default_factory=dict)
    """Figures of further tasks."""

    def report(self, resamples: int, seed: int) -> dict[str, Any]:
        """Everything about the answers, as plain JSON values."""
        return {
            **self.tally.report(resamples=resamples, seed=seed),
            "mapped": dict(Counter(answer.how for answer in self.answers.values()).most_common()),
            "calibration": self._calibration(),
            "tasks": dict(self.tasks),
            "seconds": round(self.seconds, 2),
        }

    def _calibration(self) -> dict[str, Any] | None:
        """How far probabilities can be believed; None where there are none."""
        labels = self.tally.labels
        found = [self.answers[question.name].probabilities for question in self.tally.questions]
        if any(each is None for each in found):
            return None
        scores = np.array([[each[label] for label in labels] for each in found if each is not None])
        return calibration([labels.index(question.gold) for question in self.tally.questions], scores)


def measure(subject: Subject, config: EvaluateCoeConfig, folder: str) -> dict[str, Measured]:
    """The answers of every contender, which are kept in `folder` while they come in. Ray must be running."""
    return {contender.name: _measured(subject, contender, config, folder) for contender in subject.contenders}


def validation_figures(subject: Subject, config: EvaluateCoeConfig, folder: str) -> dict[str, Any] | None:
    """Figures of the first model on validation, for an evaluation on test; None where that is not wanted or not there."""
    first = subject.contenders[0]
    if subject.side != "test" or not config.gap or not subject.store.has(first.task, "validation"):
        return None
    questions = drawn(subject.store.read(first.task, "validation"), config.max_examples, config.seed)
    given = answers(subject, first, questions, config, parts_of(folder, first))
    return tally_of(subject, questions, [given]).report(resamples=config.resamples, seed=config.seed)


def tally_of(subject: Subject, questions: Sequence[ErcExample], runs: Sequence[Mapping[str, Answer]]) -> LabelTally:
    """Answers, of one model or of several that count as one, in sums."""
    asked = [Question(line_name(q.example_id), line_key(q.example_id).dialogue_id, q.gold) for q in questions]
    return LabelTally(subject.labels, asked, [{name: answer.label for name, answer in run.items()} for run in runs])


def parts_of(folder: str, contender: Contender) -> str:
    """Where answers of these very weights are kept until the evaluation is finished."""
    return storage.join(folder, PARTS, f"{contender.name}-{fingerprint(contender.folder)[:12]}")


def _measured(subject: Subject, contender: Contender, config: EvaluateCoeConfig, folder: str) -> Measured:
    began_s = time.monotonic()
    parts = parts_of(folder, contender) if contender.folder else None
    given = answers(subject, contender, subject.questions, config, parts)
    tally = tally_of(subject, subject.questions, [given])
    further = _further(subject, contender, config, parts) if contender.kind in ("model", "untrained") else {}
    return Measured(given, tally, time.monotonic() - began_s, further)


def _further(subject: Subject, contender: Contender, config: EvaluateCoeConfig, parts: str | None) -> dict[str, Any]:
    """Figures of the further tasks of the settings, on validation: these help to learn, and have no test side."""
    found: dict[str, Any] = {}
    for task in dict.fromkeys(config.tasks):
        questions = drawn(subject.store.read(task, "validation"), config.max_examples, config.seed)
        model = reference(contender)
        if task == "speaker":
            found[task] = tasks.speaker(model, questions, config, parts)
        else:
            found[task] = tasks.role_play(model, contender.folder, questions, config, parts)
    return found
