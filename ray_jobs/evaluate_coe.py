"""Evaluate models that tell emotions in conversations, and compare them with one another and with simpler ways.

    python -m rapport.ray_jobs.evaluate_coe                                              # the newest model, on its own test side
    python -m rapport.ray_jobs.evaluate_coe --models full,mixed,plain --data made-meld --method reason
    python -m rapport.ray_jobs.evaluate_coe --groups full0+full1+full2,plain0+plain1+plain2 --tasks speaker role_play
    ray job submit --working-dir . -- python -m rapport.ray_jobs.evaluate_coe --models full --storage s3://bucket/rapport

The first model is the one in question. Beside it stand the other models, the commonest label, a classifier of words, the first model
without clues and, with `--encoder`, frozen states of a language model. The result lies in <storage>/runs/evaluate_coe/<name>/: index.html
to read, metrics.json, predictions.parquet. The model card goes into the folder of the first model, and into the folder of every model a
note that it was measured: choose on validation, and look at test once. An evaluation that was killed and is run again asks only for what is
missing.
"""

import sys
from typing import Any

from rapport.ray_jobs.coe_evaluation.config import EvaluateCoeConfig
from rapport.ray_jobs.runtime import job, start_ray


def run(config: EvaluateCoeConfig) -> dict[str, Any]:
    """The folder of the evaluation, its page, and the main figures of every system."""
    from rapport.core import storage
    from rapport.core.config import dump_config
    from rapport.ray_jobs.coe_evaluation import outputs
    from rapport.ray_jobs.coe_evaluation.measure import PARTS, measure, validation_figures
    from rapport.ray_jobs.coe_evaluation.subject import choose_subject

    subject = choose_subject(config)
    for told in subject.notes:
        _say(told)
    for told in subject.warnings:
        _say(f"warning: {told}")
    names = ", ".join(contender.name for contender in subject.contenders)
    _say(f"{len(subject.questions)} lines of {subject.store.manifest['name']}, {subject.side} side, for {names}")
    folder = outputs.evaluation_folder(subject, config)
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    with start_ray():
        measured = measure(subject, config, folder)
        validation = validation_figures(subject, config, folder)
    # Before any figure is seen: a measurement that is not counted is one that a choice may rest on.
    warnings = outputs.write_records(subject, measured, config, folder)
    metrics = outputs.figures(subject, measured, config, validation, tuple(warnings))
    storage.write_json(storage.join(folder, outputs.METRICS), metrics)
    outputs.write_predictions(folder, subject, measured)
    page = outputs.write_page(folder, subject, measured, metrics, config.shown)
    card = outputs.write_card(subject, metrics) if config.write_card else None
    storage.remove(storage.join(folder, PARTS))
    if subject.side == "test":
        times = metrics["about"]["times_on_test"]
        _say("measured on test, this time included: " + ", ".join(f"{name} {_times(count)}" for name, count in times.items()))
    _say(f"{outputs.summary(metrics)}; see {page}")
    return {
        "folder": folder,
        "name": folder.rsplit("/", 1)[-1],
        "page": page,
        "card": card,
        **metrics["about"],
        "figures": {name: outputs.brief(metrics["systems"][name]) for name in metrics["about"]["systems"]},
        "group_figures": {name: outputs.brief(metrics["groups"][name]) for name in metrics["about"]["groups"]},
    }


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(EvaluateCoeConfig, run)
