"""Prepare a corpus: canonical rows, 16 kHz shards, quarantine, split and leak report, ready to train on.

    python -m rapport.ray_jobs.prepare_corpus --config ravdess --corpus.root /data/RAVDESS
    ray job submit --working-dir . -- python -m rapport.ray_jobs.prepare_corpus --config cremad --corpus.root s3://bucket/CREMA-D

Every unusable file is named with its reason in quarantine.parquet. Kill it and run it again: finished chunks stay finished.
The result lies in <storage>/corpora/<corpus>/<key>/.
"""

import time
from typing import Any

from rapport.core.progress import progress
from rapport.datasets.prepare import PrepareConfig
from rapport.ray_jobs.runtime import job, start_ray


def run(config: PrepareConfig) -> dict[str, Any]:
    """The folder of the prepared corpus, its counts, and how fast it went."""
    from rapport.datasets.assemble import assemble
    from rapport.datasets.prepare import decode_chunks, plan_corpus

    began_s = time.monotonic()
    plan = plan_corpus(config)
    reused = len(plan.chunks) - len(plan.pending)
    speech_s = 0.0
    if plan.pending:
        files = sum(chunk.files for chunk in plan.pending)
        with start_ray(num_cpus=config.concurrency), progress(f"decoding {config.corpus.name}", files) as advance:
            from rapport.ray_jobs.meters import PreparationMeter

            meter = PreparationMeter(plan.corpus)
            for done in decode_chunks(plan):
                meter.chunk(done)
                speech_s += done["speech_s"]
                advance(done["files"])
    result = assemble(plan)
    seconds = time.monotonic() - began_s
    return {**result, "chunks_reused": reused, "seconds": round(seconds, 2), "hours_decoded_per_hour": round(speech_s / seconds, 1)}


if __name__ == "__main__":
    job(PrepareConfig, run)
