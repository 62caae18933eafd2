"""Evaluate speech language models by the answers that they write themselves, and compare them in one table.

    python -m rapport.ray_jobs.evaluate_emosds --data embedded                          # the newest model, on the test side
    python -m rapport.ray_jobs.evaluate_emosds --models full,units,text --data embedded --cascade.transcriber pocketsphinx
    ray job submit --working-dir . -- python -m rapport.ray_jobs.evaluate_emosds --models full --storage s3://bucket/rapport

The first model is the one in question; others are trained with `inputs` units, residuals or text, and a cascade reads the words of a
recogniser. The result lies in <storage>/runs/evaluate_emosds/<name>/: index.html to read, metrics.json, predictions.parquet.
The model card goes into the folder of the first model.
"""

import sys
from typing import Any

from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.runtime import job, start_ray


def run(config: EvaluateEmosdsConfig) -> dict[str, Any]:
    """The folder of the evaluation, its page, and the main figures of every contender."""
    from rapport.core import storage
    from rapport.core.config import dump_config
    from rapport.ray_jobs.emosds_evaluation import outputs
    from rapport.ray_jobs.emosds_evaluation.measure import PredictionWriter, measure
    from rapport.ray_jobs.emosds_evaluation.subject import choose_subject
    from rapport.training.text_scores import BertScore

    subject = choose_subject(config)
    for warning in subject.warnings:
        _say(f"warning: {warning}")
    first = subject.contenders[0].name
    folder = outputs.evaluation_folder(subject, config)
    _say(f"{len(subject.examples)} examples of stage {subject.stage} for {', '.join(c.name for c in subject.contenders)}")
    bert_score = BertScore(config.bert_score.model, config.bert_score.layer) if config.bert_score.model and subject.stage == 3 else None
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    with start_ray(), PredictionWriter(storage.join(folder, outputs.PREDICTIONS)) as sink:
        measured = {c.name: measure(subject, c, config, sink, bert_score) for c in subject.contenders}
    metrics = outputs.figures(subject, measured, config)
    storage.write_json(storage.join(folder, outputs.METRICS), metrics)
    page = outputs.write_page(folder, subject, measured, metrics)
    card = outputs.write_card(subject, metrics, config) if config.write_card else None
    _say(f"{outputs.summary(metrics['systems'][first])}; see {page}")
    return {
        "folder": folder,
        "name": folder.rsplit("/", 1)[-1],
        "page": page,
        "card": card,
        **metrics["about"],
        "systems": {name: outputs.brief(found) for name, found in metrics["systems"].items()},
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(EvaluateEmosdsConfig, run)
