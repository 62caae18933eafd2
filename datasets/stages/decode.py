"""Decode: one chunk of a corpus becomes one shard of 16 kHz speech and one table that tells what became of every file.

Every file is judged on its own. Good rows go to the shard; a bad file is named in the table with the stage and reason, and the rows
beside it are unaffected. The table is written last: a chunk whose table exists is finished, whatever happened to the job since.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from rapport.core import storage
from rapport.core.audio import AudioError, AudioLimits, load_speech, to_pcm16
from rapport.core.errors import RapportError
from rapport.core.schema import UTTERANCE_SCHEMA, Utterance
from rapport.datasets.chunks import outcome_path
from rapport.datasets.scan import Rejected

SHARD_SCHEMA = pa.schema([pa.field("utterance_id", pa.string(), nullable=False), pa.field("pcm", pa.large_binary(), nullable=False)])
"""A shard: `pcm` is signed 16-bit little-endian, 16 kHz, one channel."""

OUTCOME_SCHEMA = pa.schema(
    [
        # A file that the scan could not name has a path and nothing else.
        *(f.with_nullable(True) for f in UTTERANCE_SCHEMA),
        pa.field("sha256", pa.string()),  # of the file's bytes
        pa.field("content_sha256", pa.string()),  # of the decoded samples
        pa.field("shard_row", pa.int32()),  # good rows only
        pa.field("duplicate_of", pa.string()),  # further copies of a good file
        pa.field("stage", pa.string()),  # this and the rest: files that cannot be used
        pa.field("reason", pa.string()),
        pa.field("message", pa.string()),
    ]
)

_READ_AGAIN_AFTER_S = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A share of the work, small enough to lose when a job is killed."""

    index: int
    key: str
    """Stands for the rows, their files as they were listed, and the limits: equal keys, equal results."""
    rows: tuple[Utterance, ...] = ()
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Audio path of a row to further files of the same name."""
    rejected: tuple[Rejected, ...] = ()
    """Files that the scan could make nothing of."""

    @property
    def files(self) -> int:
        """How many outcomes the chunk has: one a row, copy and rejected file."""
        return len(self.rows) + sum(len(self.copies.get(row.audio_path, ())) for row in self.rows) + len(self.rejected)

    def to_json(self) -> str:
        """The chunk as text, as it travels to a worker."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Chunk":
        """The chunk that `to_json` wrote."""
        value = json.loads(text)
        rows = tuple(Utterance(**row) for row in value["rows"])
        copies = {path: tuple(paths) for path, paths in value["copies"].items()}
        return cls(value["index"], value["key"], rows, copies, tuple(Rejected(**r) for r in value["rejected"]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; `pcm` (int16 [S]) is there for a good row only."""

    record: dict[str, Any]
    pcm: np.ndarray | None = None


def shard_path(folder: str, index: int) -> str:
    """Where the speech of a chunk lies."""
    return storage.join(folder, "shards", f"shard-{index:05d}.arrow")


def decode_chunk(item: dict[str, Any], folder: str, limits: AudioLimits) -> dict[str, Any]:
    """Counts of one chunk (`{"chunk": Chunk.to_json()}`), once its shard and its table lie in `folder`.

    A Ray Data map function: audio goes from storage to storage and only counts travel.
    """
    chunk = Chunk.from_json(item["chunk"])
    ids: list[str] = []
    speech: list[np.ndarray] = []
    records: list[dict[str, Any]] = []
    for outcome in outcomes(chunk, limits):
        if outcome.pcm is None:
            records.append(outcome.record)
        else:
            records.append({**outcome.record, "shard_row": len(ids)})
            ids.append(outcome.record["utterance_id"])
            speech.append(outcome.pcm)
    storage.write_bytes(shard_path(folder, chunk.index), _shard(ids, speech))
    storage.write_table(outcome_path(folder, chunk.index, chunk.key), pa.Table.from_pylist(records, schema=OUTCOME_SCHEMA))
    bad = sum(r.get("reason") is not None for r in records)
    return {"index": chunk.index, "files": len(records), "good": len(ids), "bad": bad, "speech_s": sum(map(len, speech)) / 16_000}


def outcomes(chunk: Chunk, limits: AudioLimits) -> Iterator[Outcome]:
    """What becomes of every file of a chunk, in order; no more than one file is held at a time."""
    last: tuple[str, bytes] | None = None
    for row in chunk.rows:
        kept: str | None = None
        for path in (row.audio_path, *chunk.copies.get(row.audio_path, ())):
            # Corpora of long recordings have many rows in one file: read it once.
            try:
                data = last[1] if last and last[0] == path else read_audio(path)
            except AudioError as error:
                yield Outcome(_refusal(replace(row, audio_path=path), None, error))
                continue
            last = (path, data)
            sha256 = hashlib.sha256(data).hexdigest()
            if kept is not None:
                yield Outcome({**_record(replace(row, audio_path=path)), "sha256": sha256, "duplicate_of": kept})
                continue
            outcome = _decode(replace(row, audio_path=path), data, sha256, limits)
            kept = path if outcome.pcm is not None else None
            yield outcome
    for reject in chunk.rejected:
        yield Outcome(
            {"audio_path": reject.path, "sha256": _hash(reject.path), "stage": "scan"}
            | {"reason": reject.reason, "message": reject.message}
        )


def read_audio(path: str) -> bytes:
    """The bytes of a file, tried again when storage has a bad moment.

    Raises AudioError when the file is not there or not readable, RapportError when storage stays in trouble: that is no fault of the
    file, so it must not be put down as one.
    """
    for wait_s in (*_READ_AGAIN_AFTER_S, None):
        try:
            return storage.read_bytes(path)
        except OSError as error:
            fs, inner = storage.resolve(path)
            if isinstance(error, FileNotFoundError | PermissionError) or fs.get_file_info(inner).type != pafs.FileType.File:
                raise AudioError("not_found", f"cannot be read: {error}") from error
            if wait_s is None:
                raise RapportError(
                    f"{path} cannot be read: {error}; run the job again once storage answers, it goes on where it stopped"
                ) from error
            time.sleep(wait_s)
    raise AssertionError("the last try returns or raises")


def _decode(row: Utterance, data: bytes, sha256: str, limits: AudioLimits) -> Outcome:
    try:
        speech = load_speech(data, limits, start_s=row.start_s, end_s=row.end_s)
    except AudioError as error:
        return Outcome(_refusal(row, sha256, error))
    pcm = to_pcm16(speech.samples)
    described = replace(row, duration_s=speech.duration_s, sample_rate_hz=speech.source_rate_hz)
    return Outcome({**_record(described), "sha256": sha256, "content_sha256": hashlib.sha256(pcm.tobytes()).hexdigest()}, pcm)


def _refusal(row: Utterance, sha256: str | None, error: AudioError) -> dict[str, Any]:
    return {**_record(row), "sha256": sha256, "stage": "decode", "reason": error.reason, "message": str(error)}


def _record(row: Utterance) -> dict[str, Any]:
    return {name: getattr(row, name) for name in UTTERANCE_SCHEMA.names}


def _hash(path: str) -> str | None:
    """The hash of a file; None for what is no file, such as a line of a table."""
    try:
        return hashlib.sha256(read_audio(path)).hexdigest()
    except AudioError:
        return None


def _shard(ids: list[str], speech: list[np.ndarray]) -> memoryview:
    """The bytes of an Arrow file with one record batch, uncompressed so that readers can map it."""
    ends = np.cumsum([0, *(pcm.nbytes for pcm in speech)], dtype=np.int64)
    samples = np.concatenate(speech) if speech else np.zeros(0, np.int16)
    pcm = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ids), [None, pa.py_buffer(ends), pa.py_buffer(samples)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SHARD_SCHEMA) as writer:
        writer.write_batch(pa.record_batch([pa.array(ids, pa.string()), pcm], schema=SHARD_SCHEMA))
    return memoryview(sink.getvalue())
