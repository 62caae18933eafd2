"""Outputs are complete or absent, found again by their content, and the same on a disk and in an object store."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.core import storage
from rapport.core.errors import RapportError


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of an object store that lives in memory: no folders, no rename, as S3."""
    memory = fsspec.filesystem("memory")
    real = storage.resolve

    def resolve(path: str | Path) -> tuple[pafs.FileSystem, str]:
        text = str(path)
        if text.startswith("memory://"):
            return pafs.PyFileSystem(pafs.FSSpecHandler(memory)), "/" + text.removeprefix("memory://")
        return real(path)

    monkeypatch.setattr(storage, "resolve", resolve)
    yield "memory://bucket"
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


@pytest.fixture(params=["disk", "file URI", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "object store":
        return request.getfixturevalue("bucket")
    return str(tmp_path) if request.param == "disk" else tmp_path.as_uri()


def test_bytes_and_json_come_back(root: str) -> None:
    storage.write_bytes(storage.join(root, "a", "b", "data.bin"), b"\x00\xff")
    storage.write_json(storage.join(root, "a", "x.json"), {"ö": [1, None]})
    assert storage.read_bytes(storage.join(root, "a", "b", "data.bin")) == b"\x00\xff"
    assert storage.read_json(storage.join(root, "a", "x.json")) == {"ö": [1, None]}
    assert storage.exists(storage.join(root, "a", "x.json"))
    assert not storage.exists(storage.join(root, "a", "y.json"))


def test_tables_come_back_and_the_same_table_gives_the_same_bytes(root: str) -> None:
    table = pa.table({"x": list(range(1000)), "y": ["a", None] * 500})
    for name in ("one.parquet", "two.parquet"):
        storage.write_table(storage.join(root, name), table)
    assert storage.read_table(storage.join(root, "one.parquet")).equals(table)
    assert storage.read_table(storage.join(root, "one.parquet"), columns=["y"]).column_names == ["y"]
    assert storage.read_bytes(storage.join(root, "one.parquet")) == storage.read_bytes(storage.join(root, "two.parquet"))


def test_a_folder_is_complete_only_after_its_manifest(root: str) -> None:
    folder = storage.join(root, "corpora", "toy", "abc")
    assert not storage.is_complete(folder)
    with pytest.raises(RapportError, match="does not exist"):
        storage.read_manifest(folder)
    storage.write_bytes(storage.join(folder, "rows"), b"1")
    with pytest.raises(RapportError, match="not finished"):
        storage.read_manifest(folder)
    storage.finish(folder, {"rows": 1})
    assert storage.is_complete(folder)
    assert storage.read_manifest(folder) == {"rows": 1}


def test_completed_lists_finished_folders_only_and_oldest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "middle", "oldest")):
        storage.finish(tmp_path / name, {})
        os.utime(tmp_path / name / storage.MANIFEST, (1e9 - age, 1e9 - age))
    storage.write_bytes(tmp_path / "unfinished" / "rows", b"1")
    assert [Path(p).name for p in storage.completed(tmp_path)] == ["oldest", "middle", "newest"]
    assert list(storage.completed(tmp_path / "nowhere")) == []


def test_files_are_listed_sorted_with_their_full_paths(root: str) -> None:
    for name in ("b.wav", "sub/a.WAV", "sub/deep/c.txt"):
        storage.write_bytes(storage.join(root, *name.split("/")), b"x")
    found = storage.list_files(root, suffixes=(".wav",))
    assert found == [storage.join(root, "b.wav"), storage.join(root, "sub", "a.WAV")]
    assert [storage.read_bytes(p) for p in found] == [b"x", b"x"]
    assert storage.list_files(root, recursive=False) == [storage.join(root, "b.wav")]


def test_listing_what_is_no_folder_names_it(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="nowhere is no folder"):
        storage.list_files(tmp_path / "nowhere")


def test_a_folder_is_copied_into_an_object_store_and_back(tmp_path: Path, bucket: str) -> None:
    source = tmp_path / "model"
    (source / "sub").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "sub" / "weights.bin").write_bytes(b"\x01" * 1000)
    storage.put_folder(source, f"{bucket}/models/ser")
    copy = storage.local_copy(f"{bucket}/models/ser", cache=tmp_path / "cache")
    assert sorted(p.relative_to(copy).as_posix() for p in copy.rglob("*") if p.is_file()) == ["config.json", "sub/weights.bin"]
    assert (copy / "sub" / "weights.bin").read_bytes() == b"\x01" * 1000


def test_a_cached_copy_is_used_again_until_the_original_changes(tmp_path: Path, bucket: str) -> None:
    uri = f"{bucket}/x.bin"
    storage.write_bytes(uri, b"one")
    first = storage.local_copy(uri, cache=tmp_path)
    stamp = first.stat().st_mtime_ns
    assert storage.local_copy(uri, cache=tmp_path).stat().st_mtime_ns == stamp
    storage.write_bytes(uri, b"other")
    assert storage.local_copy(uri, cache=tmp_path).read_bytes() == b"other"


def test_a_local_path_is_its_own_copy(tmp_path: Path) -> None:
    assert storage.local_copy(tmp_path) == storage.local_copy(tmp_path.as_uri()) == tmp_path


def test_copying_what_is_not_there_names_it(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="memory://bucket/nowhere does not exist"):
        storage.local_copy(f"{bucket}/nowhere", cache=tmp_path)


def _write_forever(path: str, size: int) -> None:
    while True:
        for fill in (b"a", b"b"):
            storage.write_bytes(path, fill * size)


def test_a_reader_never_sees_half_a_file_even_when_the_writer_is_killed(tmp_path: Path) -> None:
    path, size = str(tmp_path / "data.bin"), 2_000_000
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_forever, args=(path, size), daemon=True)
    writer.start()
    while not os.path.exists(path):
        assert writer.is_alive()
    for _ in range(200):
        data = storage.read_bytes(path)
        assert data in (b"a" * size, b"b" * size)
    writer.kill()
    writer.join()
    assert len(storage.read_bytes(path)) == size


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.bin"
    storage.write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        storage.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_home_and_relative_paths_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert storage.resolve("~/rapport")[1] == str(tmp_path / "rapport")
    assert storage.resolve("rapport")[1] == str(tmp_path / "rapport")
    assert storage.is_local("~/rapport")


@given(st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=3)))
def test_equal_values_have_equal_keys_in_any_order(value: dict) -> None:
    key = storage.content_key(value)
    assert key == storage.content_key(dict(reversed(value.items())))
    assert key == storage.content_key(json.loads(json.dumps(value)))
    assert key != storage.content_key({**value, "one more": 1})
    assert len(key) == 12


def test_a_key_is_the_same_on_every_machine() -> None:
    # A changed key would orphan every finished output of an earlier version.
    assert storage.content_key({"b": [1, "ü"], "a": None}) == "6bafd57c7869"


def test_removing_takes_a_file_or_a_folder_and_minds_nothing_absent(tmp_path: Path) -> None:
    storage.write_bytes(tmp_path / "folder" / "inner" / "file", b"x")
    storage.write_bytes(tmp_path / "file", b"x")
    for name in ("folder", "file", "absent"):
        storage.remove(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_copy_outlives_its_source_and_follows_none_of_its_changes(root: str) -> None:
    source, target = storage.join(root, "a", "file"), storage.join(root, "b", "deeper", "copy")
    storage.write_bytes(source, b"first")
    storage.copy_file(source, target)
    storage.copy_file(source, target)
    storage.write_bytes(source, b"second")
    assert storage.read_bytes(target) == b"first"
    storage.remove(source)
    assert storage.read_bytes(target) == b"first"


def test_sweeping_takes_old_leftovers_of_writers_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name, age_s in (("inner/file.1234abcd.tmp", 60), ("new.1234abcd.tmp", -60), ("file", 60)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1000 - age_s, 1000 - age_s))
    storage.sweep(tmp_path, before_s=1000)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["file", "new.1234abcd.tmp"]
    storage.sweep(tmp_path / "absent", before_s=1000)


def test_a_file_that_is_written_in_place_is_whole_or_absent(tmp_path):
    def half(path):
        Path(path).write_bytes(b"half")
        raise OSError("the disk is full")

    storage.write_file(tmp_path / "made" / "file", lambda path: Path(path).write_bytes(b"whole"))
    with pytest.raises(OSError, match="full"):
        storage.write_file(tmp_path / "made" / "other", half)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "made").iterdir()] == [("file", b"whole")]
    storage.write_file((tmp_path / "made" / "by-uri").as_uri(), lambda path: Path(path).write_bytes(b"whole"))
    assert storage.read_bytes(tmp_path / "made" / "by-uri") == b"whole"
