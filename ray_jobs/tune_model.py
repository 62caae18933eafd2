"""Search for better settings of a training job: Ray Tune, Optuna's sampler, and ASHA, which ends bad trials early.

    python -m rapport.ray_jobs.tune_model --space ser --base embedded --settings corpora=ravdess training.epochs=30 --samples 40
    ray job submit --working-dir . -- python -m rapport.ray_jobs.tune_model --space ser --base hubert-base --storage s3://bucket/rapport

Kill it and run it again: trials that were over count, and those under way go on from their last checkpoint. The result lies in
<storage>/runs/tune_model/<name>/: best.yaml is a preset for the job, as is the file of --preset-out; index.html shows every trial.
"""

import sys
from typing import Any

from rapport.ray_jobs.runtime import job, start_ray
from rapport.ray_jobs.tuning.config import TuneModelConfig


def run(config: TuneModelConfig) -> dict[str, Any]:
    """The best settings and where they are written, and the counts of trials."""
    from dataclasses import replace

    from rapport.core import storage
    from rapport.core.config import dump_config
    from rapport.ray_jobs.provenance import revision
    from rapport.ray_jobs.tuning import study as studies
    from rapport.ray_jobs.tuning.pictures import write_pictures

    asked = studies.open_study(config)
    storage.write_bytes(storage.join(asked.folder, "config.yaml"), dump_config(config).encode())
    study = replace(asked, base=asked.job.for_search(asked.base))
    print(f"searching {len(study.fields)} settings: {', '.join(study.fields)}", file=sys.stderr, flush=True)
    # Without the dashboard, Ray Train would not learn that Tune has ended a trial, and the trial's processors would stay taken.
    with start_ray(include_dashboard=True) as resources:
        from rapport.ray_jobs.tuning.search import search

        study, concurrent = fit_to_cluster(study, config.concurrent, resources)
        records = search(study, config, concurrent)
    best = study.best(records)
    preset = asked.preset(best)
    places = [storage.join(study.folder, studies.PRESET)] + ([config.preset_out] if config.preset_out else [])
    for place in places:
        storage.write_bytes(place, preset.encode())
    page = write_pictures(study, records, preset)
    for record in records:
        if record.key != best.key and record.state != "running":
            storage.remove(study.work(record.key))
    states = [record.state for record in records]
    return {
        "folder": study.folder,
        "name": study.name,
        "space": config.space,
        "revision": revision(),
        "preset": places[-1],
        "page": page,
        "score": best.score,
        "metric": study.space.METRIC,
        "epochs": best.epochs,
        "params": best.params,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "best_trial": study.work(best.key),
    }


def fit_to_cluster(study: Any, wanted: int | None, resources: dict[str, float]) -> tuple[Any, int]:
    """The study with processors given to each trial, and how many trials run at once.

    Raises RapportError when not even one trial fits.
    """
    from dataclasses import replace

    from rapport.core.config import with_values
    from rapport.ray_jobs.training_runs.placement import place

    workers, concurrent = place(study.base.workers, wanted, resources)
    return replace(study, base=with_values(study.base, {"workers.cpus": workers.cpus, "workers.use_gpu": workers.use_gpu})), concurrent


if __name__ == "__main__":
    job(TuneModelConfig, run)
