"""How well the embedded classifier hears emotion in real speech, beside openSMILE eGeMAPS + SVM, on the same folds and the same clips.

    python -m rapport.ray_jobs.prepare_corpus --config ravdess --corpus.root <RAVDESS> --storage runs
    python benchmarks/ser_folds.py --corpora ravdess --storage runs --out ser_folds.json

Every fold tests on speakers whom neither saw, sexes spread evenly over the folds. The classifier trains on all other speakers for a
length fixed beforehand (`training.selection last`): no clip selects an epoch, and test clips are looked at once. The floor is the
usual one: 88 eGeMAPSv02 functionals, standardised, and an RBF support vector machine with balanced classes. Finished runs are kept in
--out, so a run that was killed goes on.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rapport.core.config import find_preset, read_config, with_values
from rapport.ray_jobs.ser_training.config import TrainSerConfig, resolved

FLOOR, OURS = "eGeMAPS + SVM", "embedded"


def main() -> None:
    options = _options()
    out = Path(options.out)
    done: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    tasks = [(OURS, fold, seed) for seed in range(options.seeds) for fold in range(options.folds)]
    tasks = [(FLOOR, fold, 0) for fold in range(options.folds)] + tasks
    pending = [task for task in tasks if _key(*task) not in done]
    threads = max(1, (os.cpu_count() or 1) // options.processes)
    # Fresh interpreters: a fork of one that has used torch's threads can hang.
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        futures = {
            pool.submit(partial(run, options.storage, options.corpora, options.config, options.folds, threads), t): t for t in pending
        }
        for future in as_completed(futures):
            done[_key(*futures[future])] = future.result()
            out.write_text(json.dumps(done, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            print(f"{_key(*futures[future])}: UAR {future.result()['uar']:.3f}", file=sys.stderr, flush=True)
    for line in summary({key: done[key] for key in (_key(*task) for task in tasks)}):
        print(line)


def run(storage: str, corpora: str, preset: str, folds: int, threads: int, task: tuple[str, int, int]) -> dict[str, Any]:
    """The figures of one contender, fold and seed: UAR, accuracy, macro-F1, and the test speakers."""
    import torch

    from rapport.ray_jobs.ser_training.data import HELD_OUT, build_data, find_sources
    from rapport.training.metrics import classification_metrics

    torch.set_num_threads(threads)
    contender, fold, seed = task
    settings = {
        "storage": storage,
        "seed": seed,
        "corpora": corpora.split(","),
        "split": {"method": "kfold", "folds": folds, "fold": fold, "validation": 0},
        "training.selection": "last",
        "training.patience": 0,
        # The floor has its clips whole, as its features are usually computed.
        **({"model.decoding.trim_silence": False} if contender == FLOOR else {}),
    }
    config = resolved(with_values(read_config(TrainSerConfig, find_preset(preset, "train_ser")), settings))
    data = build_data(config, find_sources(config))
    test = data.tests[HELD_OUT]
    speakers = sorted({str(row.speaker_id) for row in test.rows})
    if contender == FLOOR:
        predicted = _floor(data.train, test)
        seconds = None
    else:
        from rapport.ray_jobs.ser_training.worker import build_model
        from rapport.training.classifier import train_classifier

        result = train_classifier(build_model(config, data, fit=True), data, config.training, seed=seed)
        predicted, seconds = result.tests[HELD_OUT].classes, result.seconds
    one_hot = np.eye(len(test.emotions))[predicted]
    metrics = classification_metrics(
        test.targets, predicted, one_hot, [str(r.speaker_id) for r in test.rows], [r.corpus for r in test.rows], test.emotions
    )
    return {**{name: metrics[name] for name in ("uar", "wa", "macro_f1", "count")}, "speakers": speakers, "train_s": seconds}


def _floor(train: Any, test: Any) -> np.ndarray:
    import opensmile
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    from rapport.core.audio import SAMPLE_RATE_HZ

    smile = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals)

    def features(clips: Any) -> np.ndarray:
        return np.stack([smile.process_signal(clips.load(row.utterance_id), SAMPLE_RATE_HZ).to_numpy()[0] for row in clips.rows])

    classifier = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    return classifier.fit(features(train), train.targets).predict(features(test))


def summary(runs: dict[str, Any]) -> Iterator[str]:
    """The table: mean UAR of each contender, a 95 % interval over folds, and every fold."""
    means: dict[str, float] = {}
    for contender in (FLOOR, OURS):
        own = {key: r for key, r in runs.items() if key.startswith(contender)}
        folds = sorted({key.split(" fold ")[1].split(" ")[0] for key in own}, key=int)
        # Seeds of a fold share its speakers, so folds, not runs, are what varies independently.
        by_fold = np.array([np.mean([r["uar"] for key, r in own.items() if f" fold {fold} " in key]) for fold in folds]) * 100
        draws = np.random.default_rng(0).choice(by_fold, (10_000, len(by_fold))).mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        seeds = len(own) // len(folds)
        means[contender] = float(by_fold.mean())
        yield (
            f"{contender:14} UAR {by_fold.mean():.1f} % [{low:.1f}, {high:.1f}] over {len(folds)} folds x {seeds} seeds; "
            f"folds {', '.join(f'{u:.1f}' for u in by_fold)}"
        )
    yield f"ratio {means[OURS] / means[FLOOR]:.2f}"


def _key(contender: str, fold: int, seed: int) -> str:
    return f"{contender} fold {fold} seed {seed}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", default=os.environ.get("RAPPORT_STORAGE", "~/rapport"), help="where the prepared corpora are")
    parser.add_argument("--corpora", default="ravdess", help="prepared corpora, separated by commas")
    parser.add_argument("--config", default="embedded", help="preset or file of train_ser")
    parser.add_argument("--folds", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2, help="runs at a time; each gets an equal share of the processors")
    parser.add_argument("--out", default="ser_folds.json", help="results, written after every run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
