"""Evaluate a speech emotion classifier on prepared corpora, and write everything down that shows how good it is and where it fails.

    python -m rapport.ray_jobs.evaluate_ser                                    # the newest model, on the test side of its own corpora
    python -m rapport.ray_jobs.evaluate_ser --model first --corpora cremad --noise musan
    ray job submit --working-dir . -- python -m rapport.ray_jobs.evaluate_ser --model first --storage s3://bucket/rapport

The result lies in <storage>/runs/evaluate_ser/<name>/: index.html to read, metrics.json, predictions.parquet, the confusion matrix and its
film over the training, misclassified clips to listen to, embeddings with their maps. The model card goes into the model's folder.
"""

import sys
from typing import Any

from rapport.ray_jobs.runtime import job, start_ray
from rapport.ray_jobs.ser_evaluation.config import EvaluateSerConfig


def run(config: EvaluateSerConfig) -> dict[str, Any]:
    """The folder of the evaluation, its front page, and the figures in a few numbers."""
    from rapport.core import storage
    from rapport.core.config import dump_config
    from rapport.datasets.prepared import find_prepared, open_prepared
    from rapport.ray_jobs.provenance import revision
    from rapport.ray_jobs.ser_evaluation import outputs
    from rapport.ray_jobs.ser_evaluation.recognise import recognise
    from rapport.ray_jobs.ser_evaluation.subject import choose_subject
    from rapport.ray_jobs.training_runs.run_folder import absolute

    root = absolute(config.storage)
    subject = choose_subject(config)
    for label, count in subject.excluded.items():
        _say(f"left out: {count} clips labelled {label}, which the model does not know")
    if subject.trained_speakers:
        _say(f"warning: the model was trained on {len(subject.trained_speakers)} of these speakers, which flatters the figures")
    noise = None
    if config.noise is not None:
        noise = open_prepared(config.noise if "/" in config.noise else find_prepared(root, config.noise))
    with start_ray():
        recognised = recognise(subject, config, noise)
    metrics = outputs.figures(subject, recognised, config)

    corpora = list(metrics["per_corpus"])
    folder = storage.join(root, "runs", "evaluate_ser", config.name or f"{subject.name}-{'+'.join(corpora)}-{subject.split}")
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    outputs.write_predictions(folder, subject, recognised)
    files = {"predictions": outputs.PREDICTIONS, **outputs.write_confusion(folder, subject, metrics)}
    files |= outputs.write_mistakes(folder, subject, recognised[None], config.max_misclassified)
    _say("drawing the maps of the embeddings" if config.embeddings.maps else "no maps asked for")
    maps, space = outputs.write_embeddings(folder, subject, recognised[None], metrics, config.embeddings, config.seed)
    files |= maps
    facts = {"model": subject.model, "split": subject.split, "noise": noise.name if noise else None, "revision": revision()}
    about = {**facts, "corpora": subject.speech.path, "excluded": subject.excluded, "trained_speakers": list(subject.trained_speakers)}
    storage.write_json(storage.join(folder, outputs.METRICS), {**metrics, "about": about, "space": space})
    page = outputs.write_page(folder, subject, metrics, files, facts)
    card = outputs.write_card(subject, metrics, revision()) if config.write_card else None
    _say(f"UAR {metrics['uar']:.1%} on {metrics['count']} clips; see {page}")
    return {
        "folder": folder,
        "name": folder.rsplit("/", 1)[-1],
        **facts,
        "corpora": corpora,
        "page": page,
        "card": card,
        "files": files,
        **{key: metrics[key] for key in ("uar", "wa", "macro_f1", "count")},
        "interval": metrics["interval"],
        "ece": metrics["calibration"]["ece"],
        "per_corpus": {name: part["uar"] for name, part in metrics["per_corpus"].items()},
        "per_snr": {snr_db: part["uar"] for snr_db, part in metrics["per_snr"].items()},
        "trained_speakers": len(subject.trained_speakers),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(EvaluateSerConfig, run)
