"""Prepare a corpus: from a folder of audio as published to rows, 16 kHz shards, a quarantine, a split and a leak report.

    plan = plan_corpus(config)               # scan names, cut the work into chunks, find what is done already
    for done in decode_chunks(plan): ...     # Ray Data: storage to storage, chunk by chunk
    result = assemble(plan)                  # datasets/assemble.py: duplicates, split, report, manifest

A chunk is named by its content. A job that was killed, refused for too many bad files, or run again after one file was mended therefore
redoes only the chunks that are not there, and gives the same bytes as one that ran through.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import ModuleType
from typing import Annotated, Any

import pyarrow.fs as pafs
import tyro
import yaml
from pydantic import Field

from rapport.core import plugins, storage
from rapport.core.audio import AudioLimits
from rapport.core.config import Config, ConfigError, JobConfig, with_values
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.chunks import take_over
from rapport.datasets.ray_data import map_items
from rapport.datasets.scan import Scan
from rapport.datasets.splits import SplitConfig, assign_splits
from rapport.datasets.stages.decode import Chunk, decode_chunk, shard_path

# Raise this when the same chunk would come out as other bytes.
FORMAT = 1


def _parse_options(words: list[str]) -> dict[str, Any]:
    pairs = [word.partition("=") for word in words]
    if bad := [key for key, equals, _ in pairs if not equals]:
        raise ValueError(f"wanted KEY=VALUE, found {bad[0]!r}")
    return {key: yaml.safe_load(value) for key, _, value in pairs}


KEY_VALUES = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="KEY=VALUE",
    instance_from_str=_parse_options,
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda value: [f"{key}={item}" for key, item in value.items()],
)


class CorpusConfig(Config):
    """Which corpus, and where it lies."""

    name: str = "ravdess"
    """A corpus of datasets/corpora, such as ravdess, esd or librispeech, or a user's own through folder_of_labels or csv."""
    root: str = ""
    """Folder or object-store URI of the corpus as published."""
    options: Annotated[dict[str, Any], KEY_VALUES] = Field(default={})
    """Options of that corpus, such as channels=[speech,song] for ravdess."""


class PrepareConfig(JobConfig):
    """How to prepare one corpus."""

    corpus: CorpusConfig = CorpusConfig()
    """What to prepare."""
    split: SplitConfig = SplitConfig()
    """Who is trained, validated and tested on."""
    limits: AudioLimits = AudioLimits()
    """What counts as a usable clip."""
    max_quarantined_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of files that may be unusable; beyond it the job fails, with everything good kept."""
    chunk_size: int = Field(default=64, ge=1)
    """Clips decoded and written at once: what is lost when a job is killed."""
    chunk_mib: float = Field(default=64, gt=0)
    """A chunk is closed earlier when its files reach this size, so that long recordings do not fill memory."""
    concurrency: int | None = Field(default=None, ge=1)
    """Chunks decoded at the same time; one a CPU of the cluster unless told."""


@dataclass(frozen=True)
class Plan:
    """The work of one prepared corpus, and what is left of it."""

    config: PrepareConfig
    corpus: str
    """Name of the corpus in its rows."""
    folder: str
    """Where the prepared corpus lies."""
    scan: Scan
    chunks: list[Chunk]
    pending: list[Chunk]
    """Chunks that are neither here nor in an earlier preparation of the same corpus."""


def plan_corpus(config: PrepareConfig) -> Plan:
    """The chunks of a corpus and which of them remain, from names and sizes alone.

    Chunks that another preparation of this corpus has finished (other split, other threshold, one file mended) are taken over.
    Raises RapportError for an unknown corpus, option or split, and for a folder that holds no such corpus.
    """
    name = config.corpus.name
    module = plugins.load("datasets.corpora", name)
    if not config.corpus.root:
        raise RapportError(f"corpus.root is empty: give the folder that holds {name}, as in --corpus.root /data/{name}")
    root, outputs = _absolute(config.corpus.root), _absolute(config.storage)
    scan: Scan = module.scan(root, corpus_options(module, config.corpus.options))
    _check_ids(scan)
    # A split that cannot be made should be known before the hours of decoding.
    assign_splits(scan.rows, config.split)
    chunks = make_chunks(scan, config, _stamps(root, scan))
    key = storage.content_key({"format": FORMAT, "chunks": [c.key for c in chunks], "split": config.split.model_dump(mode="json")})
    # A user's own corpora carry names of their own, whichever loader reads them.
    folder = storage.join(outputs, "corpora", scan.rows[0].corpus, key)
    pending = take_over([chunk.key for chunk in chunks], folder, shard_path)
    return Plan(config, scan.rows[0].corpus, folder, scan, chunks, [chunks[index] for index in pending])


def corpus_options(module: ModuleType, given: Mapping[str, Any]) -> Config:
    """The checked options of a corpus.

    Raises ConfigError that names the option and the corpus.
    """
    try:
        return with_values(module.Options(), dict(given))
    except ConfigError as error:
        raise ConfigError(f"corpus.options of {module.__name__.rsplit('.', 1)[-1]}:\n{error}") from error


def make_chunks(scan: Scan, config: PrepareConfig, stamps: Mapping[str, list[int]]) -> list[Chunk]:
    """The rows of a scan in chunks of `chunk_size` or `chunk_mib`, then the files that the scan rejected.

    `stamps` maps paths to [size in bytes, time of change in s]; they are part of a chunk's key.
    """
    copies: dict[str, list[str]] = defaultdict(list)
    for duplicate in scan.duplicates:
        copies[duplicate.kept].append(duplicate.path)
    limits = config.limits.model_dump(mode="json")
    chunks: list[Chunk] = []

    def close(rows: list[Utterance], rejected: list[Any]) -> None:
        paths = {r.audio_path for r in rows}
        own = {p: tuple(copies[p]) for p in sorted(paths) if p in copies}
        files = sorted(paths | {p for group in own.values() for p in group} | {r.path for r in rejected})
        content = {"rows": [asdict(r) for r in rows], "copies": own, "rejected": [asdict(r) for r in rejected]}
        key = storage.content_key({"format": FORMAT, "limits": limits, "files": {p: stamps.get(p) for p in files}, **content})
        chunks.append(Chunk(len(chunks), key, tuple(rows), own, tuple(rejected)))

    rows: list[Utterance] = []
    sizes: dict[str, int] = {}
    for row in scan.rows:
        rows.append(row)
        sizes[row.audio_path] = stamps.get(row.audio_path, [0])[0]
        if len(rows) == config.chunk_size or sum(sizes.values()) >= config.chunk_mib * 2**20:
            close(rows, [])
            rows, sizes = [], {}
    if rows:
        close(rows, [])
    for start in range(0, len(scan.rejected), config.chunk_size):
        close([], scan.rejected[start : start + config.chunk_size])
    return chunks


def decode_chunks(plan: Plan) -> Iterator[dict[str, Any]]:
    """Decode what is pending with Ray Data, and yield the counts of each chunk as it is finished: index, files, good, bad, speech_s.

    Wants Ray to be initialised. Only chunk descriptions go out and only counts come back: audio stays with the workers.
    """
    items = [{"chunk": chunk.to_json()} for chunk in plan.pending]
    return map_items(items, partial(decode_chunk, folder=plan.folder, limits=plan.config.limits), plan.config.concurrency)


def _absolute(path: str) -> str:
    """The path as a worker understands it, which may stand in another folder."""
    return path if "://" in path else storage.resolve(path)[1]


def _check_ids(scan: Scan) -> None:
    paths: dict[str, str] = {}
    for row in scan.rows:
        if row.utterance_id in paths:
            raise RapportError(f"two rows are called {row.utterance_id}: {paths[row.utterance_id]} and {row.audio_path}; ids must differ")
        paths[row.utterance_id] = row.audio_path


def _stamps(root: str, scan: Scan) -> dict[str, list[int]]:
    """Path to [size in bytes, time of change in s] of every file that the scan names; a file that is not there has none."""
    paths = sorted({r.audio_path for r in scan.rows} | {d.path for d in scan.duplicates} | {r.path for r in scan.rejected})
    fs, base = storage.resolve(root)
    outer = root.rstrip("/")
    if fs.get_file_info(base).type == pafs.FileType.File:  # a table: its audio lies beside it
        base, outer = posixpath.dirname(base), posixpath.dirname(outer)
    # One listing answers for nearly all files; asking for each would be slow on an object store.
    listed = {i.path: i for i in fs.get_file_info(pafs.FileSelector(base, recursive=True, allow_not_found=True))}
    stamps: dict[str, list[int]] = {}
    for path in paths:
        info = listed.get(storage.join(base, path[len(outer) + 1 :])) if path.startswith(outer + "/") else None
        if info is None:
            own_fs, inner = storage.resolve(path)
            info = own_fs.get_file_info(inner)
        if info.type == pafs.FileType.File:
            stamps[path] = [info.size, (info.mtime_ns or 0) // 10**9]
    return stamps
