"""Make conversations in writing whose emotions follow from persona, scene and history, in the files of a published corpus.

    python -m rapport.ray_jobs.make_conversations --config meld
    python -m rapport.ray_jobs.make_conversations --dramas.corpus emorynlp --dramas.train 200 --out made/emorynlp

Needs no network and no Ray. The same seed gives the same files; run again, it changes nothing. They lie in
<storage>/conversations/made-<corpus>: tables, personas.json, scenes.jsonl, seeds.jsonl (examples with a rationale) and bounds.json (what
any model can reach with and without clues), ready for the readers of datasets/conversations/corpora. manifest.json tells that a
machine made them.
"""

import time
from typing import Any

from rapport.core import storage
from rapport.core.config import JobConfig
from rapport.datasets.synthetic.drama_files import write_dramas
from rapport.datasets.synthetic.dramas import DramaConfig
from rapport.ray_jobs.runtime import job


class MakeConversationsConfig(JobConfig):
    """Which conversations to make, and where."""

    dramas: DramaConfig = DramaConfig()
    """How many, with whose labels."""
    out: str | None = None
    """Folder or URI; <storage>/conversations/made-<corpus> unless told."""


def run(config: MakeConversationsConfig) -> dict[str, Any]:
    """The folder, how many conversations and lines there are, and the bounds of accuracy."""
    began_s = time.monotonic()
    folder = config.out or storage.join(config.storage, "conversations", f"made-{config.dramas.corpus}")
    folder = folder if "://" in folder else storage.resolve(folder)[1]
    manifest = write_dramas(config.dramas, config.seed, folder)
    counts = manifest["counts"]
    return {
        "folder": folder,
        "corpus": config.dramas.corpus,
        "dialogues": {split: side["dialogues"] for split, side in counts.items()},
        "lines": {split: side["lines"] for split, side in counts.items()},
        "bounds": manifest["bounds"],
        "seconds": round(time.monotonic() - began_s, 2),
    }


if __name__ == "__main__":
    job(MakeConversationsConfig, run)
