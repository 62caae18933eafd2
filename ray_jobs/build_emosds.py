"""Build the examples of the speech language model's three stages from prepared corpora and dialogues.

    python -m rapport.ray_jobs.build_emosds --config embedded --dialogues /data/ESD/EmoSC_dialogues.jsonl
    python -m rapport.ray_jobs.build_emosds --asr librispeech --emotional esd --dialogues s3://bucket/EmoSC_dialogues.jsonl --export.jsonl

By default no speaker, sentence or dialogue lies on two sides, over all three stages; `--config upstream` draws rows as published. The
result lies in <storage>/features/emosds/<name>/<key>/: stage-<n>/<split>.parquet, leaks.json, and jsonl/ when asked for.
"""

import sys
from typing import Any

from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.runtime import job


def run(config: BuildEmosdsConfig) -> dict[str, Any]:
    """The folder of the examples, their numbers by stage and side, and whether anything lies on two sides."""
    from rapport.core import storage
    from rapport.ray_jobs.emosds_data import assemble

    plan = assemble.plan(config)
    if storage.is_complete(plan.folder):
        _say(f"{plan.folder} is finished: this is its result")
    else:
        _say(f"building from {', '.join(name for name in plan.corpora)}")
        assemble.build(plan)
    if config.export.jsonl:
        for path, count in assemble.export(plan).items():
            _say(f"{count} lines in {path}")
    manifest = storage.read_manifest(plan.folder)
    for warning in manifest["warnings"]:
        _say(f"warning: {warning}")
    shown = ("counts", "stages", "left_out", "leak_free", "warnings")
    return {"folder": plan.folder, "name": config.name, **{key: manifest[key] for key in shown}}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(BuildEmosdsConfig, run)
