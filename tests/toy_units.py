"""A unit store made by hand, in the layout that `extract_features` writes."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from rapport.core import storage
from rapport.core.units import SpeechUnits
from rapport.datasets.feature_store import INDEX_SCHEMA, SHARED_FACTS, shard_path
from rapport.datasets.ragged import write_ragged
from rapport.datasets.unit_store import KIND, stored_item


def write_store(folder: Path, speech: Mapping[str, SpeechUnits], codebook_hash: str = "0" * 64, *, clusters: int = 100) -> str:
    """Write a store of two shards to `folder`, and return the folder as text; residuals are kept as float32."""
    ids = sorted(speech)
    halves = [ids[: len(ids) // 2], ids[len(ids) // 2 :]]
    rows = []
    for shard, names in enumerate(halves):
        write_ragged(shard_path(str(folder), shard), [stored_item(speech[name], "float32") for name in names])
        rows += [
            {"utterance_id": name, "shard": shard, "row": row, "frames": len(speech[name].ids), "units": len(speech[name].units)}
            for row, name in enumerate(names)
        ]
    storage.write_table(folder / "index.parquet", pa.Table.from_pylist(rows, schema=INDEX_SCHEMA))
    residuals = next(iter(speech.values())).residuals
    facts = {
        "kind": KIND,
        "codebook_hash": codebook_hash,
        "clusters": clusters,
        "width": residuals.shape[1] if residuals is not None else 8,
        "residual_sign": "centroid-frame" if residuals is not None else None,
        "residual_dtype": "float32",
        "hop_s": 0.02,
    }
    storage.finish(folder, {SHARED_FACTS: facts, "shards": len(halves)})
    return str(folder)
