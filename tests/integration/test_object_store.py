"""A storage root in a bucket: the same jobs, nothing on this computer's disk, and patience when the store does not answer."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapport.core import storage
from rapport.core.schema import from_table
from tests.object_store import ObjectStore, object_store
from tests.toy_ser import SPLIT, write_toys

# One Ray for three jobs; what its workers know of the store is what this process was started with.
PIPELINE = """
import json, sys
from rapport.datasets.prepare import PrepareConfig
from rapport.ray_jobs import evaluate_ser, prepare_corpus, train_ser
from rapport.ray_jobs.runtime import start_ray
from rapport.ray_jobs.ser_evaluation.config import EvaluateSerConfig
from tests.toy_ser import toy_settings
root, split = sys.argv[1], json.loads(sys.argv[2])
corpus = {"name": "ravdess", "root": f"{root}/raw"}
with start_ray(num_cpus=2, object_store_mib=200):
    prepared = prepare_corpus.run(PrepareConfig.model_validate({"corpus": corpus, "storage": root, "split": split, "chunk_size": 8}))
    trained = train_ser.run(toy_settings(root, name="toy", training={"epochs": 2}))
    evaluation = {"storage": root, "model": "toy", "resamples": 100, "embeddings": {"maps": []}}
    evaluated = evaluate_ser.run(EvaluateSerConfig.model_validate(evaluation))
print(json.dumps([prepared["folder"], trained["model"], evaluated["page"], trained["folder"]]))
"""
OUTAGE_S = 8.0


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with object_store() as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield store


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pipeline_lives_in_a_bucket_and_waits_while_the_store_is_away(store: ObjectStore, tmp_path: Path, repository: Path) -> None:
    write_toys(tmp_path / "raw")
    storage.put_folder(tmp_path / "raw", f"{store.uri}/raw")
    elsewhere = tmp_path / "elsewhere"
    environment = {**os.environ, "RAPPORT_STORAGE": str(elsewhere), "RAPPORT_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", PIPELINE, store.uri, json.dumps(SPLIT)]
    away: list[float] = []
    over = threading.Event()
    cut = threading.Thread(target=go_away, args=(store, away, over))
    cut.start()
    try:
        done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    finally:
        over.set()
        cut.join()
    assert done.returncode == 0, done.stderr[-4000:]
    assert away, "the store was never away"
    prepared, model, page, run = json.loads(done.stdout.splitlines()[-1])
    assert all(place.startswith(f"{store.uri}/") for place in (prepared, model, page, run))
    assert len(from_table(storage.read_table(f"{prepared}/utterances.parquet"))) == 48
    assert {name.rsplit("/", 1)[-1] for name in storage.list_files(model)} >= {"model.safetensors", "config.json", "README.md"}
    assert b"<html" in storage.read_bytes(page)
    assert len(storage.read_bytes(f"{run}/metrics.jsonl").splitlines()) == 2
    assert not elsewhere.exists()


def go_away(store: ObjectStore, away: list[float], over: threading.Event) -> None:
    """Leave the store without an answer for a while, from the first finished chunk on."""
    while not over.is_set():
        if storage.exists(f"{store.uri}/corpora") and storage.list_files(f"{store.uri}/corpora", suffixes=(".parquet",)):
            began = time.monotonic()
            with store.unreachable():
                time.sleep(OUTAGE_S)
            away.append(time.monotonic() - began)
            return
        time.sleep(0.05)


def test_keys_may_hold_what_a_uri_may_not(store: ObjectStore) -> None:
    name = f"{store.uri}/clips/no 1 (50%).wav"
    storage.write_bytes(name, b"speech")
    assert storage.list_files(store.uri) == [name]
    assert storage.read_bytes(name) == b"speech"
    assert storage.local_copy(name).read_bytes() == b"speech"
    storage.remove(name)
    assert not storage.exists(name)
