"""Build the examples for emotion recognition in conversations: role-play, speaker, reasons and labels, with personas and scenes.

    python -m rapport.ray_jobs.make_conversations --config meld
    python -m rapport.ray_jobs.build_coe --config made-meld
    python -m rapport.ray_jobs.build_coe --config meld --corpus.root /data/MELD --export.flat

Needs no network and no Ray. Lines that cannot be used are told by file and line; a copy whose counts differ from the published ones is told
too, or refused with --complete. Prompts are cut by parts to fit --prompt.max-tokens, never in the line that is asked about. The result lies
in <storage>/features/coe/<name>/<key>/: examples/<task>/<side>.jsonl, seeds.jsonl, dialogues.jsonl, personas.json, scenes.jsonl,
bad_rows.jsonl, tokenizer/, and flat/ when asked for.
"""

import sys
from typing import Any

from rapport.ray_jobs.coe_data.config import BuildCoeConfig
from rapport.ray_jobs.runtime import job


def run(config: BuildCoeConfig) -> dict[str, Any]:
    """The folder of the examples, their numbers by task and side, and all that is odd about them."""
    from rapport.core import storage
    from rapport.ray_jobs.coe_data import assemble

    plan = assemble.plan(config)
    if storage.is_complete(plan.folder):
        _say(f"{plan.folder} is finished: this is its result")
    else:
        _say(f"building from {config.corpus.name} in {config.corpus.root}")
        assemble.build(plan)
    if config.export.flat:
        for path, count in assemble.export(plan).items():
            _say(f"{count} lines in {path}")
    manifest = storage.read_manifest(plan.folder)
    for told in (*manifest["deviations"], *manifest["removed"], *manifest["notes"]):
        _say(f"note: {told}")
    for side, path in manifest["absent"].items():
        _say(f"note: no {side}, as {path} is not there")
    if manifest["bad"]:
        _say(f"note: {sum(manifest['bad'].values())} lines cannot be used as they are, listed in {plan.folder}/bad_rows.jsonl")
    shown = (
        "corpus",
        "counts",
        "label_counts",
        "seeds",
        "clues",
        "cut",
        "skipped",
        "bad",
        "deviations",
        "absent",
        "removed",
        "notes",
        "digest",
    )
    return {"folder": plan.folder, "name": config.name, **{key: manifest[key] for key in shown}}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(BuildCoeConfig, run)
