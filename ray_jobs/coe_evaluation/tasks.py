"""What else a model can do: tell who says a line, and write the next line of a character."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rapport.core.conversations import ErcExample
from rapport.models.erc.generation import Prompt
from rapport.models.erc.model_config import ScoringConfig
from rapport.models.erc.pretrained import load_collator
from rapport.models.erc.scoring import Choice
from rapport.models.erc.templates import line_key
from rapport.ray_jobs.coe_evaluation.asking import LABEL_TOKENS, shortened
from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig
from rapport.ray_jobs.coe_rollouts.ask import score_choices, write_answers
from rapport.ray_jobs.coe_rollouts.config import ModelRef
from rapport.training.metrics import LEVEL, FloatArray, resampling_units, with_intervals
from rapport.training.text_scores import Bleu

LINE_TOKENS = 64
"""Longest line that is written in a role."""


def speaker(model: ModelRef, questions: Sequence[ErcExample], config: EvaluateCoeConfig, parts: str | None = None) -> dict[str, Any]:
    """`exact`: how often the very name is given, chosen among the candidates where there are some and else written; `chance`."""
    closed = all(question.labels for question in questions)
    if closed:
        choices = [Choice(q.example_id, q.input, q.labels) for q in questions]
        given = {s.example_id: s.label for s in score_choices(choices, model, config.scoring, config.rollouts, parts)}
    else:
        given = _written(model, questions, LABEL_TOKENS, config, parts)
    rows = np.array([[given[q.example_id] == q.gold, 1.0] for q in questions], np.float64)

    def figures(sums: FloatArray) -> dict[str, FloatArray]:
        return {"exact": sums[..., 0] / sums[..., 1]}

    chance = float(np.mean([1 / len(q.labels) for q in questions])) if closed else None
    return {**_report(questions, rows, figures, config), "chance": chance}


def role_play(
    model: ModelRef, folder: str, questions: Sequence[ErcExample], config: EvaluateCoeConfig, parts: str | None = None
) -> dict[str, Any]:
    """`perplexity` of the true line by the tokens of the model in `folder`, its end included, and `bleu` (0 to 100) of the line that it
    writes."""
    collator = load_collator(folder)
    summed = ScoringConfig(batch_tokens=config.scoring.batch_tokens, batch_rows=config.scoring.batch_rows)
    # The true line is the only answer of its set: what is wanted is its log-likelihood alone.
    choices = [Choice(q.example_id, q.input, (q.target,)) for q in questions]
    likely = {s.example_id: s.log_likelihoods[0] for s in score_choices(choices, model, summed, config.rollouts, parts)}
    given = _written(model, questions, LINE_TOKENS, config, parts)
    bleu = Bleu()
    counts = np.array([[-likely[q.example_id], collator.count_answer(q.target)] for q in questions], np.float64)
    rows = np.concatenate([counts, bleu.statistics([q.target for q in questions], [given[q.example_id] for q in questions])], axis=1)

    def figures(sums: FloatArray) -> dict[str, FloatArray]:
        return {"perplexity": np.exp(np.minimum(sums[..., 0] / sums[..., 1], 700.0)), "bleu": bleu.scores(sums[..., 2:])}

    return _report(questions, rows, figures, config)


def _written(model: ModelRef, questions: Sequence[ErcExample], most: int, config: EvaluateCoeConfig, parts: str | None) -> dict[str, str]:
    generation = shortened(config.generation.model_copy(update={"samples": 1}), most)
    written = write_answers([Prompt(q.example_id, q.input) for q in questions], model, generation, config.rollouts, parts)
    return {w.example_id: w.text for w in written}


def _report(questions: Sequence[ErcExample], rows: FloatArray, figures: Any, config: EvaluateCoeConfig) -> dict[str, Any]:
    """`count`, `figures` with intervals by dialogue, and how those were made."""
    units, unit = resampling_units([line_key(q.example_id).dialogue_id for q in questions])
    sums = np.zeros((int(units.max()) + 1, rows.shape[1]))
    np.add.at(sums, units, rows)
    interval = {"level": LEVEL, "unit": "dialogue" if unit == "speaker" else "line", "units": len(sums), "resamples": config.resamples}
    return {
        "count": len(questions),
        "figures": with_intervals(sums, figures, config.resamples, config.seed),
        "interval": interval,
    }
