"""Assemble a prepared corpus from its finished chunks: drop duplicates, assign the split, report leaks, write the manifest last."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from rapport.core import storage
from rapport.core.config import dump_config
from rapport.core.errors import RapportError
from rapport.core.schema import LEFT_OUT, UTTERANCE_SCHEMA, Utterance, from_table
from rapport.datasets.card import count_differences, has_card, read_card
from rapport.datasets.chunks import outcome_path
from rapport.datasets.prepare import FORMAT, Plan, PrepareConfig
from rapport.datasets.splits import assign_splits, leak_report

PREPARED_SCHEMA = pa.schema(
    [
        *UTTERANCE_SCHEMA,
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("shard_row", pa.int32(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("content_sha256", pa.string(), nullable=False),
    ]
)
"""`utterances.parquet`: canonical rows, where the speech of each lies, and hashes of the file and of the 16 kHz samples."""

QUARANTINE_SCHEMA = pa.schema([pa.field(n, pa.string()) for n in ("path", "sha256", "stage", "reason", "message", "utterance_id")])
DUPLICATES_SCHEMA = pa.schema([pa.field(n, pa.string()) for n in ("path", "duplicate_of", "by", "sha256", "differs_in")])

_LABELS = ("speaker_id", "emotion", "text", "dialogue_id")


def assemble(plan: Plan) -> dict[str, Any]:
    """The result of a preparation whose chunks are all decoded: folder, counts, splits, leaks.

    Everything is written before the share of bad files is judged, so that a run with a higher threshold only reads. Raises RapportError
    when more files than `max_quarantined_fraction` are unusable, or none is usable.
    """
    folder, config = plan.folder, plan.config
    if storage.is_complete(folder):
        counts = storage.read_manifest(folder)["counts"]
        _check_threshold(plan, counts)
        return _result(plan, counts)
    records = [
        {**record, "shard": chunk.index}
        for chunk in plan.chunks
        for record in storage.read_table(outcome_path(folder, chunk.index, chunk.key)).to_pylist()
    ]
    good, duplicates = _without_duplicates(records)
    bad = sorted(
        ({**r, "path": r["audio_path"]} for r in records if r["reason"] is not None), key=lambda r: (r["path"], r["utterance_id"] or "")
    )
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    storage.write_table(storage.join(folder, "quarantine.parquet"), _table(bad, QUARANTINE_SCHEMA))
    storage.write_table(storage.join(folder, "duplicates.parquet"), _table(duplicates, DUPLICATES_SCHEMA))
    if not good:
        raise RapportError(f"not one of {len(bad)} files of {plan.corpus} can be used; the reasons are in {folder}/quarantine.parquet")
    rows = assign_splits(from_table(_table(good, UTTERANCE_SCHEMA)), config.split)
    table = _table(({**record, "split": row.split} for record, row in zip(good, rows, strict=True)), PREPARED_SCHEMA)
    storage.write_table(storage.join(folder, "utterances.parquet"), table)
    leaks = leak_report(rows, {r["utterance_id"]: r["content_sha256"] for r in good})
    storage.write_json(storage.join(folder, "leak_report.json"), leaks)
    storage.write_json(storage.join(folder, "split.json"), _describe_split(rows, config))
    counts = {
        "utterances": len(rows),
        "hours": round(sum(r.duration_s or 0 for r in rows) / 3600, 4),
        "speakers": len({r.speaker_id for r in rows if r.speaker_id}),
        "splits": _count(r.split for r in rows),
        "emotions": _count(r.emotion for r in rows if r.emotion),
        "leak_free": leaks["clean"],
        "files": len(good) + len(bad) + sum(d["by"] == "content" for d in duplicates),
        "quarantined": len(bad),
        "reasons": _count(r["reason"] for r in bad),
        "duplicates": len(duplicates),
        "left_out": plan.scan.left_out,
    }
    _check_threshold(plan, counts)
    storage.sweep(folder, before_s=time.time())
    storage.finish(folder, _manifest(plan, counts, rows))
    return _result(plan, counts)


def _without_duplicates(records: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Good rows, each sound once, and what was left out for it: copies by name, and rows whose decoded samples are the same."""
    good: dict[str, dict[str, Any]] = {}
    duplicates: list[dict[str, Any]] = []
    hashes: dict[str, str] = {}
    for record in records:
        first = good.setdefault(record["content_sha256"], dict(record)) if record["shard_row"] is not None else None
        if first is not None:
            hashes[record["audio_path"]] = record["sha256"]
        if record["duplicate_of"] is not None:
            same = hashes[record["duplicate_of"]] == record["sha256"]
            differs = "" if same else "content"
            duplicates.append({**record, "path": record["audio_path"], "by": "name", "differs_in": differs})
        elif first is not None and first["utterance_id"] != record["utterance_id"]:
            differs = ", ".join(label for label in _LABELS if first[label] != record[label])
            origin = {"path": record["audio_path"], "duplicate_of": first["audio_path"]}
            duplicates.append({**record, **origin, "by": "content", "differs_in": differs})
    return list(good.values()), sorted(duplicates, key=lambda d: d["path"])


def _check_threshold(plan: Plan, counts: Mapping[str, Any]) -> None:
    bad, files = counts["quarantined"], counts["files"]
    allowed = plan.config.max_quarantined_fraction
    if bad <= allowed * files:
        return
    listed = ", ".join(f"{n} {reason}" for reason, n in sorted(counts["reasons"].items(), key=lambda item: (-item[1], item[0])))
    raise RapportError(
        f"{bad} of {files} files of {plan.corpus} ({100 * bad / files:.1f} %) cannot be used ({listed}), more than "
        f"max_quarantined_fraction {allowed:g} allows. They are named in {plan.folder}/quarantine.parquet. Mend or "
        "remove them, or accept the loss with a higher --max-quarantined-fraction: what is decoded is kept, nothing good is decoded again"
    )


def _result(plan: Plan, counts: Mapping[str, Any]) -> dict[str, Any]:
    return {"folder": plan.folder, "corpus": plan.corpus, "chunks": len(plan.chunks), **counts}


def _manifest(plan: Plan, counts: Mapping[str, Any], rows: list[Utterance]) -> dict[str, Any]:
    config, name = plan.config, plan.corpus
    what = config.model_dump(mode="json", include={"corpus", "split", "limits", "chunk_size", "chunk_mib"})
    return {
        "format": FORMAT,
        "corpus": name,
        "config": what,
        "counts": counts,
        "chunks": [chunk.key for chunk in plan.chunks],
        "incomplete": count_differences(read_card(name), rows) if has_card(name) else [],
        "versions": {package: version(package) for package in ("soundfile", "av", "soxr", "pyarrow", "numpy")},
    }


def _describe_split(rows: list[Utterance], config: PrepareConfig) -> dict[str, Any]:
    sides = sorted({str(r.split) for r in rows} - {LEFT_OUT})
    speakers = {side: sorted({r.speaker_id for r in rows if r.split == side and r.speaker_id}) for side in sides}
    return {"config": config.split.model_dump(mode="json"), "utterances": _count(r.split for r in rows), "speakers": speakers}


def _table(records: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: record.get(name) for name in schema.names} for record in records], schema=schema)


def _count(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(str(v) for v in values).items()))
