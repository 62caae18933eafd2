"""Work in chunks: a stage plans files, workers make them, and a table a chunk tells what became of each.

    chunks = cut("pictures", planned, settings, size)
    for done in run_chunks(folder, unfinished(folder, chunks), make_maker, PICTURES, workers): ...      # counts of each chunk
    rows = outcomes(folder, chunks)

A chunk is named by all that decides its bytes, and finished once its table exists. Finished chunks of folders beside this one are linked
or copied: a change of noise does not draw the pictures again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import pyarrow as pa

from rapport.core import storage
from rapport.datasets.chunks import finished_chunks, outcome_path
from rapport.datasets.ray_data import map_on_actors

# Raise this when the same plan would come out as other bytes.
FORMAT = 1

Row = dict[str, Any]


class Maker(Protocol):
    """Makes the files of one chunk, with whatever it needs loaded."""

    def __call__(self, planned: Sequence[Mapping[str, Any]]) -> list[Row]:
        """What became of each planned file: its plan, with `sha256` and more, or with `reason` and `message` where it cannot be used.

        An error that is no fault of one file rises.
        """
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A share of the work."""

    index: int
    key: str
    """Stands for the plan and the settings: equal keys, equal files."""
    planned: str
    """The planned files as JSON, as they travel to a worker."""
    files: int


def cut(stage: str, planned: Sequence[Any], settings: Mapping[str, Any], size: int) -> list[Chunk]:
    """Dataclasses that plan a file each, in chunks; `settings` is JSON that decides the bytes together with the plan."""
    chunks = []
    for index, start in enumerate(range(0, len(planned), size)):
        share = [asdict(one) for one in planned[start : start + size]]
        key = storage.content_key({"format": FORMAT, "stage": stage, "settings": dict(settings), "planned": share})
        chunks.append(Chunk(index, key, json.dumps(share, ensure_ascii=False), len(share)))
    return chunks


def unfinished(folder: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks that remain; those that were finished in a folder beside this one are there from now on.

    A chunk in which a file could not be used counts as remaining until the folder is complete: what was wrong may have been mended.
    """
    finished = finished_chunks(folder)
    accepted = storage.is_complete(folder)
    pending = []
    for chunk in chunks:
        place, index = finished.get(chunk.key, (None, 0))
        if place is None:
            pending.append(chunk)
            continue
        table = outcome_path(place, index, chunk.key)
        rows = storage.read_table(table).to_pylist()
        if not accepted and any(row["reason"] is not None for row in rows):
            pending.append(chunk)
        elif (place, index) != (folder, chunk.index):
            for row in rows:
                if place != folder and row.get("sha256"):
                    storage.copy_file(storage.join(place, row["path"]), storage.join(folder, row["path"]))
            storage.copy_file(table, outcome_path(folder, chunk.index, chunk.key))
    return pending


class ChunkWorker:
    """One worker: makes the files of a chunk, then writes its table, which says that the chunk is finished."""

    def __init__(self, folder: str, make_maker: Callable[[], Maker], schema: pa.Schema) -> None:
        self.folder, self.maker, self.schema = folder, make_maker(), schema

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Counts of one chunk: files, bad."""
        rows = self.maker(json.loads(item["planned"]))
        records = [{name: row.get(name) for name in self.schema.names} for row in rows]
        table = pa.Table.from_pylist(records, schema=self.schema)
        storage.write_table(outcome_path(self.folder, int(item["index"]), str(item["key"])), table)
        return {"files": len(rows), "bad": sum(row["reason"] is not None for row in records)}


def run_chunks(
    folder: str,
    chunks: Sequence[Chunk],
    make_maker: Callable[[], Maker],
    schema: pa.Schema,
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """Make the chunks, and yield the counts of each as it is finished.

    `make_maker` is called once a worker. Wants Ray to be initialised, unless `workers` is 0: then all is done in this process.
    """
    items: list[dict[str, Any]] = [{"index": chunk.index, "key": chunk.key, "planned": chunk.planned} for chunk in chunks]
    if not items:
        return
    arguments = {"folder": folder, "make_maker": make_maker, "schema": schema}
    if workers == 0:
        yield from map(ChunkWorker(**arguments), items)
    else:
        yield from map_on_actors(items, ChunkWorker, arguments, workers, gpus_per_worker)


def outcomes(folder: str, chunks: Sequence[Chunk]) -> list[Row]:
    """What became of every file of chunks that are all finished, in the order of the plan."""
    return [row for chunk in chunks for row in storage.read_table(outcome_path(folder, chunk.index, chunk.key)).to_pylist()]
