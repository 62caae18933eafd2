"""Make an embedded corpus: emotional speech by machine voices in the true folders and names of a published corpus.

    python -m rapport.ray_jobs.make_corpus --layout ravdess --speakers 24 --utterances 24
    ray job submit --working-dir . -- python -m rapport.ray_jobs.make_corpus --config cremad --out s3://bucket/made/cremad

Needs no network and no recordings. The same seed gives the same files, however many workers make them; killed and run again, it makes what
is missing. The corpus lies in <storage>/synthetic/<layout>, ready for prepare_corpus; manifest.json tells where it came from.
"""

import time
from typing import Any

from rapport.core import plugins, storage
from rapport.core.progress import progress
from rapport.datasets.synthetic.maker import MakeCorpusConfig, finish_corpus, make_files, plan_corpus
from rapport.ray_jobs.runtime import job, start_ray


def run(config: MakeCorpusConfig) -> dict[str, Any]:
    """The folder of the corpus, its size and digest, and how many files this run made."""
    began_s = time.monotonic()
    plan = plan_corpus(config, plugins.load("models.backends.tts", config.voice).load)
    if plan.missing == 0 and storage.is_complete(plan.folder):
        manifest = storage.read_manifest(plan.folder)
    else:
        with start_ray(num_cpus=config.concurrency), progress(f"making {config.layout}", len(plan.items)) as advance:
            chunks = []
            for chunk in make_files(plan):
                chunks.append(chunk)
                advance(chunk["files"])
        manifest = finish_corpus(plan, chunks)
    return {
        "folder": plan.folder,
        "layout": config.layout,
        "files": manifest["files"],
        "hours": manifest["hours"],
        "digest": manifest["digest"],
        "files_made": plan.missing,
        "seconds": round(time.monotonic() - began_s, 2),
    }


if __name__ == "__main__":
    job(MakeCorpusConfig, run)
