"""What becomes of every file of a chunk."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rapport.core import storage
from rapport.core.audio import AudioLimits, encode_wav
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.chunks import outcome_path
from rapport.datasets.scan import Rejected
from rapport.datasets.stages import decode
from rapport.datasets.stages.decode import Chunk, decode_chunk, outcomes, shard_path

LIMITS = AudioLimits()


def noise(seed: int, samples: int = 4_000) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def clip(folder: Path, name: str, seed: int = 0, data: bytes | None = None) -> Utterance:
    (folder / name).write_bytes(encode_wav(noise(seed)) if data is None else data)
    return Utterance(f"own/{name}", "own", str(folder / name), emotion="happy", speaker_id="own/1")


@pytest.fixture
def mixed(tmp_path):
    rows = (clip(tmp_path, "a.wav", 1), clip(tmp_path, "b.wav", data=b"no audio"), clip(tmp_path, "c.wav", 3))
    return Chunk(
        7, "abc", rows, rejected=(Rejected(str(tmp_path / "b.wav"), "name", "not a name"), Rejected("t.csv:3", "table_row", "empty"))
    )


def test_good_rows_flow_past_bad_ones_and_every_bad_one_is_named(mixed):
    good, bad, better, odd, line = [o.record for o in outcomes(mixed, LIMITS)]
    assert [r["utterance_id"] for r in (good, better)] == ["own/a.wav", "own/c.wav"]
    assert (good["duration_s"], good["sample_rate_hz"], good["emotion"]) == (0.25, 16_000, "happy")
    assert (bad["stage"], bad["reason"], bad["sha256"]) == ("decode", "not_audio", hashlib.sha256(b"no audio").hexdigest())
    assert (odd["stage"], odd["reason"], odd["sha256"]) == ("scan", "name", hashlib.sha256(b"no audio").hexdigest())
    assert (line["reason"], line["sha256"]) == ("table_row", None)


def test_a_chunk_leaves_a_mappable_shard_and_a_table(mixed, tmp_path):
    counts = decode_chunk({"chunk": mixed.to_json()}, str(tmp_path / "out"), LIMITS)
    assert counts == {"index": 7, "files": 5, "good": 2, "bad": 3, "speech_s": 0.5}
    with pa.ipc.open_file(pa.memory_map(shard_path(str(tmp_path / "out"), 7))) as shard:
        batch = shard.get_batch(0)
    assert batch.column("utterance_id").to_pylist() == ["own/a.wav", "own/c.wav"]
    np.testing.assert_allclose(np.frombuffer(batch.column("pcm")[1].as_buffer(), "<i2") / 32768, noise(3), atol=1e-4)
    table = storage.read_table(outcome_path(str(tmp_path / "out"), 7, "abc"))
    assert table.column("shard_row").to_pylist() == [0, None, 1, None, None]


def test_a_chunk_without_any_good_row_is_finished_too(tmp_path):
    chunk = Chunk(0, "abc", (clip(tmp_path, "b.wav", data=b""),))
    assert decode_chunk({"chunk": chunk.to_json()}, str(tmp_path), LIMITS)["good"] == 0
    with pa.ipc.open_file(shard_path(str(tmp_path), 0)) as shard:
        assert shard.read_all().num_rows == 0


def test_a_chunk_survives_the_trip_to_a_worker(mixed):
    chunk = replace(mixed, copies={mixed.rows[0].audio_path: ("x", "y")})
    assert Chunk.from_json(chunk.to_json()) == chunk
    assert chunk.files == 7


def test_a_sound_copy_takes_the_place_of_a_damaged_file_of_the_same_name(tmp_path):
    (tmp_path / "again").mkdir()
    row = clip(tmp_path, "a.wav", data=encode_wav(noise(1))[:-100])
    copy, further = clip(tmp_path, "again/a.wav", 1).audio_path, clip(tmp_path, "again/a2.wav", 1).audio_path
    bad, good, duplicate = [o.record for o in outcomes(Chunk(0, "k", (row,), {row.audio_path: (copy, further)}), LIMITS)]
    assert (bad["reason"], bad["audio_path"]) == ("truncated", row.audio_path)
    assert (good["utterance_id"], good["audio_path"]) == (row.utterance_id, copy)
    assert "reason" not in good
    assert (duplicate["audio_path"], duplicate["duplicate_of"]) == (further, copy)


def test_rows_of_one_long_recording_read_it_once(tmp_path, monkeypatch):
    row = clip(tmp_path, "dialogue.wav", data=encode_wav(noise(0, 48_000)))
    reads: list[str] = []
    read_bytes = storage.read_bytes

    def counted(path: str) -> bytes:
        reads.append(path)
        return read_bytes(path)

    monkeypatch.setattr(storage, "read_bytes", counted)
    turns = tuple(replace(row, utterance_id=f"own/{i}", start_s=i * 0.5, end_s=i * 0.5 + 0.4) for i in range(4))
    records = [o.record for o in outcomes(Chunk(0, "k", turns), LIMITS)]
    assert len(reads) == 1
    assert [r["duration_s"] for r in records] == [0.4] * 4
    assert len({r["content_sha256"] for r in records}) == 4


def test_a_bad_moment_of_storage_is_waited_out(tmp_path, monkeypatch):
    row = clip(tmp_path, "a.wav")
    read_bytes, failures = storage.read_bytes, iter([True, False])
    monkeypatch.setattr(decode, "_READ_AGAIN_AFTER_S", (0.0, 0.0))

    def flaky(path):
        if next(failures):
            raise OSError("connection reset")
        return read_bytes(path)

    monkeypatch.setattr(storage, "read_bytes", flaky)
    (outcome,) = outcomes(Chunk(0, "k", (row,)), LIMITS)
    assert outcome.pcm is not None


def test_lasting_trouble_of_storage_is_no_fault_of_the_file(tmp_path, monkeypatch):
    row = clip(tmp_path, "a.wav")
    monkeypatch.setattr(decode, "_READ_AGAIN_AFTER_S", (0.0,))
    monkeypatch.setattr(storage, "read_bytes", lambda path: (_ for _ in ()).throw(OSError("no route to host")))
    with pytest.raises(RapportError, match=r"a\.wav cannot be read: no route to host; run the job again"):
        list(outcomes(Chunk(0, "k", (row,)), LIMITS))


def test_an_absent_file_and_a_folder_are_named(tmp_path):
    rows = (Utterance("own/1", "own", str(tmp_path / "absent.wav")), Utterance("own/2", "own", str(tmp_path)))
    assert [o.record["reason"] for o in outcomes(Chunk(0, "k", rows), LIMITS)] == ["not_found", "not_found"]
