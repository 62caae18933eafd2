"""The whole job over Ray Data: damaged corpora, kills, and what a user sees on the command line."""

import hashlib
import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core import storage
from rapport.core.audio import encode_wav
from rapport.core.errors import RapportError
from rapport.datasets.assemble import assemble
from rapport.datasets.prepare import Plan, PrepareConfig, plan_corpus
from rapport.datasets.prepared import open_prepared
from rapport.datasets.stages.decode import decode_chunk
from rapport.ray_jobs.prepare_corpus import run

RATE = 16_000


def speech(seed: int, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def in_format(samples: np.ndarray, rate: int = RATE, **options: str) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate, **options)
    return sink.getvalue()


def write(root: Path, index: int, data: bytes) -> str:
    """Store a clip under the index-th RAVDESS name; its path."""
    actor, rest = divmod(index, 32)
    emotion, rest = divmod(rest, 4)
    name = f"03-01-{emotion + 1:02d}-01-{rest // 2 + 1:02d}-{rest % 2 + 1:02d}-{actor + 1:02d}.wav"
    path = root / f"Actor_{actor + 1:02d}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def config(root: Path, out: Path, **changes: object) -> PrepareConfig:
    values = {"corpus": {"name": "ravdess", "root": str(root)}, "storage": str(out), "chunk_size": 32}
    return PrepareConfig.model_validate({**values, **changes})


def with_sample(samples: np.ndarray, value: float) -> np.ndarray:
    samples = samples.copy()
    samples[7] = value
    return samples


WAV = encode_wav(speech(0))
FLAC = in_format(speech(0, 2), format="FLAC")
DAMAGED = {
    "lfs_pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:c6f94b25\nsize 72862\n",
    "empty": b"",
    "truncated": WAV[: len(WAV) // 2],
    "truncated_flac": FLAC[: len(FLAC) // 2],
    "not_audio": b"path,emotion\na.wav,happy\n" * 9,
    "not_audio_binary": bytes(range(256)) * 4,
    "no_samples": encode_wav(np.zeros(0, np.float32)),
    "not_finite": in_format(with_sample(speech(0), np.nan), format="WAV", subtype="FLOAT"),
    "not_finite_infinite": in_format(with_sample(speech(0), np.inf), format="WAV", subtype="DOUBLE"),
    "silent": encode_wav(np.zeros(RATE, np.float32)),
    "too_long": encode_wav(speech(0, 61)),
    "too_short": encode_wav(speech(0, 0.01)),
    "sample_rate": WAV[:24] + struct.pack("<II", 100, 200) + WAV[32:],
    "sample_rate_high": WAV[:24] + struct.pack("<II", 10_000_000, 20_000_000) + WAV[32:],
    "channels": in_format(np.tile(speech(0, 0.1)[:, None], 24), format="WAV", subtype="PCM_16"),
}
AWKWARD = [
    in_format(speech(1), format="FLAC"),
    in_format(speech(2), format="OGG"),
    in_format(speech(3), format="WAV", subtype="DOUBLE"),
    in_format(speech(4), format="WAV", subtype="PCM_24"),
    in_format(speech(5), format="WAV", subtype="MS_ADPCM"),
    in_format(np.tile(speech(6)[:, None], 8), format="WAVEX", subtype="PCM_16"),
    in_format(speech(7, rate=48_000), 48_000, format="MP3"),
    in_format(speech(8, rate=8_000), 8_000, format="WAV"),
]


def test_a_corpus_with_damaged_files_keeps_every_good_row_and_names_every_bad_one(ray_cluster, tmp_path):
    root = tmp_path / "corpus"
    total = 250
    assert len(DAMAGED) / total >= 0.05
    kinds = {write(root, 3 + 16 * i, data): (kind, data) for i, (kind, data) in enumerate(DAMAGED.items())}
    good = set()
    for index in range(total):
        data = AWKWARD[index] if index < 3 else AWKWARD[index - 32] if 35 < index < 40 else encode_wav(speech(100 + index))
        if index % 16 != 3 or index // 16 >= len(DAMAGED):
            good.add(write(root, index, data))
    (root / "Actor_01" / "notes.wav").write_bytes(WAV)

    with pytest.raises(RapportError, match=r"16 of 251 files.*max_quarantined_fraction 0\.01.*quarantine\.parquet"):
        run(config(root, tmp_path / "out"))
    result = run(config(root, tmp_path / "out", max_quarantined_fraction=0.1))
    assert result["chunks_reused"] == result["chunks"]

    corpus = open_prepared(result["folder"])
    assert {r.audio_path for r in corpus.rows} == good
    assert all(np.isfinite(corpus.waveform(r.utterance_id)).all() for r in corpus.rows)
    bad = storage.read_table(storage.join(result["folder"], "quarantine.parquet")).to_pylist()
    assert len(bad) == len(DAMAGED) + 1
    for row in bad:
        if row["path"].endswith("notes.wav"):
            assert (row["stage"], row["reason"], row["sha256"]) == ("scan", "name", hashlib.sha256(WAV).hexdigest())
            continue
        kind, data = kinds[row["path"]]
        assert kind.startswith(row["reason"])
        assert row["stage"] == "decode"
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["message"]
    assert len({row["reason"] for row in bad}) >= 12


def test_the_real_awkward_files_are_kept_or_named(ray_cluster, shared_data, tmp_path):
    labels = tmp_path / "own.csv"
    files = sorted(p for f in ("audio_formats", "rir", "cremad/AudioWAV", "ravdess_original") for p in (shared_data / f).rglob("*.*"))
    labels.write_text("path,emotion,speaker\n" + "".join(f"{p},neutral,{i % 5}\n" for i, p in enumerate(files)))
    corpus = {"name": "csv", "root": str(labels)}
    split = {"method": "random_utterance"}
    result = run(PrepareConfig.model_validate({"corpus": corpus, "storage": str(tmp_path), "max_quarantined_fraction": 1, "split": split}))
    reasons = {Path(r["path"]).name: r["reason"] for r in storage.read_table(f"{result['folder']}/quarantine.parquet").to_pylist()}
    assert reasons == {
        "almost_silent.wav": "silent",
        "digital_silence.wav": "silent",
        "mono_float64.wav": "too_short",
        "mono_int24.wav": "too_short",
        "ms_adpcm.wav": "too_long",
        "misc_file.txt": "not_audio",
        **{p.name: "lfs_pointer" for p in (shared_data / "cremad" / "AudioWAV").iterdir()},
    }
    assert (result["utterances"], result["duplicates"]) == (len(files) - len(reasons) - 1, 1)


def test_real_speech_is_prepared_without_loss(ray_cluster, shared_data, tmp_path):
    result = run(config(shared_data / "ravdess", tmp_path, split={"method": "published"}))
    assert (result["utterances"], result["duplicates"], result["quarantined"], result["speakers"]) == (719, 1, 0, 12)
    corpus = open_prepared(result["folder"])
    assert {r.speaker_id for r in corpus.split("validation")} == {"ravdess/01", "ravdess/09", "ravdess/12"}
    for row in corpus.rows[::60]:
        samples, _ = soundfile.read(row.audio_path, dtype="float32")
        np.testing.assert_array_equal(corpus.waveform(row.utterance_id), samples)


def outputs(folder: str) -> dict[str, str]:
    """Hash of every file that does not tell where and when the job ran."""
    files = [p for p in Path(folder).rglob("*") if p.is_file() and p.name not in ("config.yaml", "result.json")]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def settled(folder: Path, quiet_s: float = 5.0) -> dict[str, int]:
    """When each chunk of a folder was written, in ns, once nothing has been written to it for `quiet_s`."""
    deadline = time.monotonic() + 120
    last: dict[str, int] = {}
    since = time.monotonic()
    while time.monotonic() - since < quiet_s:
        assert time.monotonic() < deadline, "the workers of a killed job go on writing"
        now = {p.name: p.stat().st_mtime_ns for p in folder.glob("chunks/*.parquet")}
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.1)
    return last


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.faults)])
def test_a_job_killed_at_random_points_redoes_nothing_it_finished_and_gives_the_same_bytes(kills, ray_cluster, tmp_path, repository):
    clips = 150
    root = tmp_path / "corpus"
    for index in range(clips):
        write(root, index, encode_wav(speech(index, 1.0, 44_100), 44_100))
    write(root, 5, b"")
    changes = {"chunk_size": 1, "max_quarantined_fraction": 0.1}
    whole = run(config(root, tmp_path / "whole", **changes))

    flags = ["--corpus.root", str(root), "--storage", str(tmp_path / "killed"), "--chunk-size", "1", "--max-quarantined-fraction", "0.1"]
    command = [sys.executable, "-m", "rapport.ray_jobs.prepare_corpus", *flags]
    folder = Path(whole["folder"].replace("/whole/", "/killed/"))
    finished: dict[str, int] = {}
    started_again_s = []
    for point in sorted(random.sample(range(5, clips - 20), kills)):
        waited_s = strike(command, folder, repository, max(point, len(finished) + 1))
        started_again_s.append(waited_s)
        now = settled(folder)  # its workers follow it, but may write what they were at
        assert {name: now[name] for name in finished} == finished, "finished work was done again"
        finished = now
        if len(finished) > clips - 20:
            break
    assert 5 <= len(finished) < clips
    assert not (folder / "manifest.json").exists()

    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["folder"] == str(folder)
    assert result["chunks_reused"] == len(finished)
    assert {name: (folder / "chunks" / name).stat().st_mtime_ns for name in finished} == finished
    assert outputs(str(folder)) == outputs(whole["folder"])
    assert storage.read_json(folder / "result.json") == result
    # What a kill can cost is what each processor was at.
    in_flight = len(started_again_s) * int(ray_cluster["CPU"])
    assert in_flight <= 0.2 * clips or kills > 2
    waits = ", ".join(f"{seconds:.1f}" for seconds in started_again_s[1:])
    print(f"killed {len(started_again_s)} times; of {clips} chunks none was finished twice; first new chunk after a restart: {waits} s")


def strike(command: list[str], folder: Path, repository: Path, at: int) -> float:
    """SIGKILL a job and all its processes once it has finished that many chunks; gives the time to its first new one, in s."""
    before = len(list(folder.glob("chunks/*.parquet")))
    began_s = time.monotonic()
    first_s = 0.0
    job = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = began_s + 600
        while (count := len(list(folder.glob("chunks/*.parquet")))) < at:
            first_s = first_s or (time.monotonic() - began_s if count > before else 0.0)
            assert job.poll() is None, "the job ended before it could be killed"
            assert time.monotonic() < deadline, "the job has written nothing"
            time.sleep(0.005)
        return first_s or time.monotonic() - began_s
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="a small disk is mounted by root, on Linux")
def test_a_full_disk_is_told_leaves_no_litter_and_costs_nothing_once_there_is_room(tmp_path):
    root, small = tmp_path / "corpus", tmp_path / "small"
    for index in range(40):
        write(root, index, encode_wav(speech(index, 1.0)))
    small.mkdir()
    changes = {"chunk_size": 4, "split": {"method": "all_train"}}
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        plan = plan_corpus(config(root, small, **changes))
        with pytest.raises(RapportError, match="no space is left"):
            decode(plan)
        kept = settled(Path(plan.folder), quiet_s=0.2)
        assert 0 < len(kept) < len(plan.chunks)
        assert not list(small.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
        again = plan_corpus(config(root, small, **changes))
        assert len(again.pending) == len(plan.chunks) - len(kept)
        decode(again)
        whole = plan_corpus(config(root, tmp_path / "whole", **changes))
        decode(whole)
        assert outputs(assemble(again)["folder"]) == outputs(assemble(whole)["folder"])
    finally:
        subprocess.run(["umount", str(small)], check=True)


def decode(plan: Plan) -> None:
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)
