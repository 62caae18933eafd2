"""Evaluate models of a listener's head motion on the sessions that they were not trained on, beside motion that needs no listening.

    python -m rapport.ray_jobs.evaluate_listener                                     # the newest model, all of its folds and seeds
    python -m rapport.ray_jobs.evaluate_listener --models embedded,faithful,lstm-linear
    ray job submit --working-dir . -- python -m rapport.ray_jobs.evaluate_listener --models embedded --storage s3://bucket/rapport

The first model is the one in question. Beside it move the other models, the mean pose, the pose at the start of each turn, the running
mean, the true motion of somebody else, and the first model when it hears silence or another dialogue. The result lies in
<storage>/runs/evaluate_listener/<name>/: index.html to read, turns/ to watch, metrics.json, predictions.parquet. The model card goes into
the folder of the first model.
"""

import sys
from typing import Any

from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from rapport.ray_jobs.runtime import job, start_ray


def run(config: EvaluateListenerConfig) -> dict[str, Any]:
    """The folder of the evaluation, its page, and the main figures of every system."""
    from rapport.core import storage
    from rapport.core.config import dump_config
    from rapport.ray_jobs.listener_evaluation import outputs
    from rapport.ray_jobs.listener_evaluation.measure import move_and_measure
    from rapport.ray_jobs.listener_evaluation.subject import choose_subject

    subject = choose_subject(config)
    for warning in subject.warnings:
        _say(f"warning: {warning}")
    turns = sum(len(fold.test) for fold in subject.folds.values())
    _say(f"{turns} turns of {', '.join(subject.folds)} for {', '.join(c.name for c in subject.contenders)}, {subject.repeats} seed(s) each")
    folder = outputs.evaluation_folder(subject, config)
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    with start_ray():
        moved = move_and_measure(subject, config)
    metrics = outputs.figures(subject, moved, config)
    storage.write_json(storage.join(folder, outputs.METRICS), metrics)
    outputs.write_predictions(folder, subject, moved)
    page = outputs.write_page(folder, metrics, outputs.write_turns(folder, subject, moved, config))
    card = outputs.write_card(subject, metrics) if config.write_card else None
    first = metrics["about"]["first"]
    _say(f"{outputs.summary(metrics['systems'][first])}; see {page}")
    return {
        "folder": folder,
        "name": folder.rsplit("/", 1)[-1],
        "page": page,
        "card": card,
        **metrics["about"],
        "systems": {name: outputs.brief(metrics["systems"][name]) for name in metrics["about"]["systems"]},
        "planted": metrics["planted"],
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(EvaluateListenerConfig, run)
