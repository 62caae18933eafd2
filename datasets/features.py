"""Extract features of a prepared corpus: chunk by chunk, each clip once, found again after a kill or a change elsewhere.

    plan = plan_features(root, identity, corpus)              # cut the work into chunks, find what is done already
    for done in extract_chunks(plan, make_maker): ...         # Ray Data: an actor pool, from speech to shards
    result = assemble(plan, facts)                            # index, quarantine, manifest

What is made of a clip is not known here: `make_maker()` is called once an actor and gives the `Maker`.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.chunks import outcome_path, take_over
from rapport.datasets.feature_store import INDEX_SCHEMA, SHARED_FACTS, shard_path
from rapport.datasets.prepared import PreparedCorpus, open_prepared
from rapport.datasets.ragged import write_ragged
from rapport.datasets.ray_data import map_on_actors

# Raise this when the same chunk would come out as other bytes.
FORMAT = 1

OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("row", pa.int32()),  # in the shard; good clips only, as the next two
        pa.field("frames", pa.int32()),
        pa.field("units", pa.int32()),
        pa.field("reason", pa.string()),  # clips that cannot be used
        pa.field("message", pa.string()),
    ]
)
QUARANTINE_SCHEMA = pa.schema([OUTCOME_SCHEMA.field(name) for name in ("utterance_id", "reason", "message")])


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One clip of speech and what is known of it."""

    row: Utterance
    samples: npt.NDArray[np.float32]
    """[S] at 16 kHz."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The features of one clip."""

    arrays: Mapping[str, npt.NDArray[Any]]
    """By field, laid end to end with those of other clips."""
    frames: int
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a clip has no features: a code for tables, and a sentence."""

    reason: str
    message: str


class Maker(Protocol):
    """What makes features of clips, with whatever it needs loaded."""

    def __call__(self, clips: Sequence[Clip]) -> Sequence[Made | Refused]:
        """The features of each clip, or why there are none. An error that is no fault of a clip rises."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureChunk:
    """A share of the work: consecutive rows of a corpus."""

    index: int
    key: str
    """Stands for the speech and for how features are made: equal keys, equal results."""
    ids: tuple[str, ...]


@dataclass(frozen=True)
class FeaturePlan:
    """The work on one corpus, and what is left of it."""

    corpus: PreparedCorpus
    identity: Mapping[str, Any]
    folder: str
    chunks: list[FeatureChunk]
    pending: list[FeatureChunk]


def plan_features(
    root: str, identity: Mapping[str, Any], corpus: PreparedCorpus, *, ids: Iterable[str] | None = None, chunk_size: int = 128
) -> FeaturePlan:
    """The chunks of a prepared corpus, or of those of its rows that `ids` names, and which remain.

    `identity` is JSON that settles the features of a clip, with the kind of features under `kind`; the folder is
    `<root>/features/<kind>/<corpus>/<key>`. Raises RapportError when there is no row.
    """
    hashes = _hashes(corpus)
    wanted = None if ids is None else set(ids)
    rows = [row for row in corpus.rows if wanted is None or row.utterance_id in wanted]
    if not rows:
        raise RapportError(f"{corpus.name} ({corpus.path}) has no row to make features of")
    chunks = []
    for index, start in enumerate(range(0, len(rows), chunk_size)):
        names = [row.utterance_id for row in rows[start : start + chunk_size]]
        key = storage.content_key({"format": FORMAT, "identity": identity, "speech": [[name, hashes[name]] for name in names]})
        chunks.append(FeatureChunk(index, key, tuple(names)))
    key = storage.content_key({"format": FORMAT, "chunks": [chunk.key for chunk in chunks]})
    home = root if "://" in root else storage.resolve(root)[1]  # as a worker understands it, which may stand in another folder
    folder = storage.join(home, "features", identity["kind"], corpus.name, key)
    pending = set(take_over([chunk.key for chunk in chunks], folder, shard_path))
    if not storage.is_complete(folder):
        # Whatever made clips unusable may have been mended since; a finished folder has been accepted with what it lacks.
        pending |= {chunk.index for chunk in chunks if chunk.index not in pending and _lacks_clips(folder, chunk)}
    return FeaturePlan(corpus, identity, folder, chunks, [chunks[index] for index in sorted(pending)])


def extract_chunks(
    plan: FeaturePlan, make_maker: Callable[[], Maker], *, actors: int | None = None, gpus_per_actor: float = 0.0
) -> Iterator[dict[str, Any]]:
    """Make what is pending with a pool of actors, and yield the counts of each chunk as it is finished: index, clips, good, speech_s.

    Wants Ray to be initialised. Names go out and counts come back: speech and features go from storage to storage.
    """
    items = [{"index": chunk.index, "key": chunk.key, "ids": json.dumps(chunk.ids)} for chunk in plan.pending]
    arguments = {"path": plan.corpus.path, "folder": plan.folder, "make_maker": make_maker}
    return map_on_actors(items, ChunkWorker, arguments, actors, gpus_per_actor)


class ChunkWorker:
    """One actor: makes the features of a chunk and writes its shard, then its table, which says that the chunk is finished."""

    def __init__(self, path: str, folder: str, make_maker: Callable[[], Maker]) -> None:
        self.corpus, self.folder, self.maker = open_prepared(path), folder, make_maker()
        self.rows = {row.utterance_id: row for row in self.corpus.rows}

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Counts of one chunk."""
        index, key, names = int(item["index"]), str(item["key"]), json.loads(item["ids"])
        clips = [Clip(self.rows[name], self.corpus.waveform(name)) for name in names]
        records: list[dict[str, Any]] = []
        good: list[Mapping[str, npt.NDArray[Any]]] = []
        for clip, made in zip(clips, self.maker(clips), strict=True):
            name = {"utterance_id": clip.row.utterance_id}
            if isinstance(made, Refused):
                records.append({**name, "reason": made.reason, "message": made.message})
            else:
                records.append({**name, "row": len(good), "frames": made.frames, "units": made.units})
                good.append(made.arrays)
        write_ragged(shard_path(self.folder, index), good)
        storage.write_table(outcome_path(self.folder, index, key), pa.Table.from_pylist(records, schema=OUTCOME_SCHEMA))
        return {"index": index, "clips": len(clips), "good": len(good), "speech_s": sum(len(c.samples) for c in clips) / 16_000}


def assemble(plan: FeaturePlan, facts: Mapping[str, Any], *, max_quarantined_fraction: float = 1.0) -> dict[str, Any]:
    """The folder and counts of features whose chunks are all made; `facts` are what a reader is told about them.

    Everything is written before the share of bad clips is judged. Raises RapportError when it is too high.
    """
    tables = [storage.read_table(outcome_path(plan.folder, chunk.index, chunk.key)) for chunk in plan.chunks]
    records = [{**record, "shard": i} for i, table in enumerate(tables) for record in table.to_pylist()]
    good = [r for r in records if r["reason"] is None]
    bad = [r for r in records if r["reason"] is not None]
    reasons = dict(sorted(Counter(str(r["reason"]) for r in bad).items()))
    counts = {"utterances": len(good), "frames": sum(r["frames"] for r in good), "quarantined": len(bad), "reasons": reasons}
    if any(r["units"] is not None for r in good):
        counts["units"] = sum(r["units"] for r in good)
    storage.write_table(storage.join(plan.folder, "index.parquet"), _table(good, INDEX_SCHEMA))
    storage.write_table(storage.join(plan.folder, "quarantine.parquet"), _table(bad, QUARANTINE_SCHEMA))
    if not good or len(bad) > max_quarantined_fraction * len(records):
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        raise RapportError(
            f"{len(bad)} of {len(records)} clips of {plan.corpus.name} have no features ({listed}), more than max_quarantined_fraction "
            f"{max_quarantined_fraction:g} allows; they are named in {plan.folder}/quarantine.parquet"
        )
    if not storage.is_complete(plan.folder):
        storage.sweep(plan.folder, before_s=time.time())
        shared = {"kind": plan.identity["kind"], **facts}
        what = {"format": FORMAT, "corpus": plan.corpus.name, "prepared": plan.corpus.path, "identity": dict(plan.identity)}
        storage.finish(plan.folder, {**what, SHARED_FACTS: shared, "shards": len(plan.chunks), "counts": counts})
    return {"folder": plan.folder, "corpus": plan.corpus.name, "chunks": len(plan.chunks), **counts}


def _lacks_clips(folder: str, chunk: FeatureChunk) -> bool:
    reasons = storage.read_table(outcome_path(folder, chunk.index, chunk.key), ["reason"]).column("reason")
    return bool(reasons.null_count < len(reasons))


def _hashes(corpus: PreparedCorpus) -> dict[str, str]:
    """Utterance id to a hash of its samples."""
    table = storage.read_table(storage.join(corpus.path, "utterances.parquet"), ["utterance_id", "content_sha256"])
    return dict(zip(table.column("utterance_id").to_pylist(), table.column("content_sha256").to_pylist(), strict=True))


def _table(records: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: record.get(name) for name in schema.names} for record in records], schema=schema)
