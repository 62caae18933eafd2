"""Examples of the speech language model on disk: Parquet by stage and side, and JSON lines as the published system writes them.

examples = read_examples(find_examples(config.storage, "embedded"), stage=3, split="train")
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.examples import STAGES, Example, Stage
from rapport.core.schema import SPLITS, Turn

KIND, LEAKS = "emosds", "leaks.json"

_TURN = pa.struct(
    [pa.field("speaker", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False), ("emotion", pa.string())]
)

EXAMPLE_SCHEMA = pa.schema(
    [
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("stage", pa.int8(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("emotion", pa.string()),
        pa.field("speaker_id", pa.string()),
        pa.field("duration_s", pa.float64()),
        pa.field("prompt", pa.int32(), nullable=False),
        pa.field("history", pa.list_(pa.field("item", _TURN, nullable=False)), nullable=False),
        pa.field("reply_text", pa.string()),
        pa.field("reply_emotion", pa.string()),
        pa.field("dialogue_id", pa.string()),
        pa.field("variant", pa.int8()),
    ]
)
"""`stage-<n>/<split>.parquet`: the fields of `rapport.core.examples.Example`."""


def to_table(examples: Iterable[Example]) -> pa.Table:
    """The examples as an Arrow table of `EXAMPLE_SCHEMA`."""
    return pa.Table.from_pylist([asdict(e) for e in examples], schema=EXAMPLE_SCHEMA)


def from_table(table: pa.Table) -> list[Example]:
    """The examples of a table that has at least the columns of `EXAMPLE_SCHEMA`."""
    rows = table.select([f.name for f in fields(Example)]).to_pylist()
    return [Example(**{**row, "history": tuple(Turn(**turn) for turn in row["history"])}) for row in rows]


def write_examples(folder: str, examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """Write one table for every stage and side that has examples; gives their numbers by stage and side."""
    counts: dict[str, dict[str, int]] = {}
    for stage in STAGES:
        for split in SPLITS:
            rows = [e for e in examples if (e.stage, e.split) == (stage, split)]
            if rows:
                storage.write_table(examples_path(folder, stage, split), to_table(rows))
                counts.setdefault(str(stage), {})[split] = len(rows)
    return counts


def read_examples(folder: str, stage: Stage, split: str) -> list[Example]:
    """The examples of one stage and side in a finished build; none where the build made none.

    Raises RapportError when the folder is no finished build.
    """
    manifest = storage.read_manifest(folder)
    if manifest.get("kind") != KIND:
        raise RapportError(f"{folder} holds {manifest.get('kind')!r}: wanted a folder that build_emosds wrote")
    if split not in manifest["counts"].get(str(stage), {}):
        return []
    return from_table(storage.read_table(examples_path(folder, stage, split)))


def find_examples(root: str, name: str) -> str:
    """The folder of the newest finished build of that name below a storage root.

    Raises RapportError that tells how to build it.
    """
    folder = storage.join(root, "features", KIND, name)
    finished = list(storage.completed(folder))
    if not finished:
        raise RapportError(f"no examples in {folder}: run python -m rapport.ray_jobs.build_emosds --name {name} --storage {root}")
    return finished[-1]


def examples_path(folder: str, stage: Stage, split: str) -> str:
    """Where the table of a stage and side lies."""
    return storage.join(folder, f"stage-{stage}", f"{split}.parquet")


def export_jsonl(
    path: str,
    examples: Iterable[Example],
    render: Callable[[Example], tuple[str, str]],
    residual: Callable[[Example], tuple[int, str]] | None = None,
) -> int:
    """Write the examples as the published JSON lines (UTF-8, not escaped); gives their number.

    Every line has `prefix` and `plain_text`, which `render` gives; from stage 2 on `residual_length` and `residual_path`, where `residual`
    is given; in stage 3 `dialogue_id`.
    """
    lines = []
    for example in examples:
        prefix, plain_text = render(example)
        row: dict[str, Any] = {"prefix": prefix, "plain_text": plain_text}
        if example.stage > 1 and residual is not None:
            row["residual_length"], row["residual_path"] = residual(example)
        if example.stage == 3:
            row["dialogue_id"] = example.dialogue_id
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    storage.write_bytes(path, "".join(lines).encode())
    return len(lines)
