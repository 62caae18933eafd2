"""Prepared corpora as their readers see them: assembled from chunks, opened, mapped, merged."""

import json
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core import storage
from rapport.core.audio import encode_wav
from rapport.core.errors import RapportError
from rapport.datasets.assemble import assemble
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.datasets.prepared import find_prepared, load_noise, merge, open_prepared
from rapport.datasets.scan import write_tones
from rapport.datasets.splits import SplitConfig
from rapport.datasets.stages.decode import decode_chunk

ACTORS = ("01", "02", "03", "04")
NAMES = tuple(f"Actor_{a}/03-01-0{e}-01-01-01-{a}.wav" for a in ACTORS for e in (1, 3, 5))


def prepare(root, tmp_path, name="ravdess", **changes):
    values = {"corpus": {"name": name, "root": str(root)}, "storage": str(tmp_path / "out"), "chunk_size": 5}
    config = PrepareConfig.model_validate({**values, "split": {"validation": 0.25, "test": 0.25}, **changes})
    plan = plan_corpus(config)
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, config.limits)
    return assemble(plan)


def table(result, name):
    return storage.read_table(storage.join(result["folder"], name)).to_pylist()


@pytest.fixture
def root(tmp_path):
    write_tones(tmp_path / "ravdess", NAMES, duration_s=0.3)
    return tmp_path / "ravdess"


def test_every_waveform_is_the_file_it_came_from(root, tmp_path):
    corpus = open_prepared(prepare(root, tmp_path)["folder"])
    assert len(corpus.rows) == len(NAMES)
    for row in corpus.rows:
        samples, _ = soundfile.read(row.audio_path, dtype="float32")
        np.testing.assert_array_equal(corpus.waveform(row.utterance_id), samples)
        assert row.duration_s == pytest.approx(0.3)


def test_waveforms_belong_to_the_caller(root, tmp_path):
    corpus = open_prepared(prepare(root, tmp_path)["folder"])
    name = corpus.rows[0].utterance_id
    before = corpus.waveform(name)
    corpus.waveform(name)[:] = 0
    np.testing.assert_array_equal(corpus.waveform(name), before)


def test_a_corpus_travels_to_other_processes_without_its_speech(root, tmp_path):
    corpus = open_prepared(prepare(root, tmp_path)["folder"])
    name = corpus.rows[0].utterance_id
    before = corpus.waveform(name)
    data = pickle.dumps(corpus)
    assert len(data) < 20_000
    np.testing.assert_array_equal(pickle.loads(data).waveform(name), before)  # noqa: S301 - our own bytes, as Ray sends them


def test_the_split_keeps_speakers_apart_and_is_written_down(root, tmp_path):
    result = prepare(root, tmp_path)
    corpus = open_prepared(result["folder"])
    sides = {side: {r.speaker_id for r in corpus.split(side)} for side in ("train", "validation", "test")}
    assert sorted(map(len, sides.values())) == [1, 1, 2]
    assert len(set.union(*sides.values())) == 4
    assert result["splits"] == {"test": 3, "train": 6, "validation": 3}
    split = storage.read_json(storage.join(result["folder"], "split.json"))
    assert {side: set(s) for side, s in split["speakers"].items()} == sides
    leaks = storage.read_json(storage.join(result["folder"], "leak_report.json"))
    assert leaks["clean"]
    assert result["leak_free"]


def test_another_fold_needs_no_preparing(root, tmp_path):
    corpus = open_prepared(prepare(root, tmp_path)["folder"])
    folds = [corpus.resplit(SplitConfig(method="kfold", folds=4, fold=f, validation=0)) for f in range(4)]
    assert sorted(r.utterance_id for f in folds for r in f.split("test")) == sorted(r.utterance_id for r in corpus.rows)
    assert folds[0].waveform(corpus.rows[0].utterance_id).any()


def test_the_newest_finished_preparation_is_found(root, tmp_path):
    with pytest.raises(RapportError, match=r"no prepared corpus 'ravdess'.*prepare_corpus --corpus.name ravdess"):
        find_prepared(str(tmp_path / "out"), "ravdess")
    prepare(root, tmp_path)
    time.sleep(0.02)
    newer = prepare(root, tmp_path, split={"method": "all_test"})["folder"]
    assert find_prepared(str(tmp_path / "out"), "ravdess") == newer
    Path(newer, "manifest.json").unlink()
    assert find_prepared(str(tmp_path / "out"), "ravdess") != newer
    with pytest.raises(RapportError, match="was not finished"):
        open_prepared(newer)


def test_the_same_sound_under_two_names_is_kept_once_and_listed(root, tmp_path):
    original = root / NAMES[0]
    (root / "Actor_01/03-01-01-01-01-02-01.wav").write_bytes(original.read_bytes())
    (root / "Actor_04/03-01-05-01-01-02-04.wav").write_bytes(original.read_bytes()[:-2] + b"\x00\x00" + b"LIST\x04\x00\x00\x00abcd")
    result = prepare(root, tmp_path, max_quarantined_fraction=0)
    assert (result["utterances"], result["duplicates"], result["quarantined"]) == (len(NAMES), 2, 0)
    first, second = table(result, "duplicates.parquet")
    assert {first["duplicate_of"], second["duplicate_of"]} == {str(original)}
    assert (first["by"], first["differs_in"]) == ("content", "")
    assert second["differs_in"] == "speaker_id, emotion"
    assert all(len(d["sha256"]) == 64 for d in (first, second))


def test_a_tree_nested_in_itself_is_kept_once_and_listed(root, tmp_path):
    for name in NAMES:
        copy = root / "audio_speech_actors_01-24" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((root / name).read_bytes())
    (copy.parent / Path(NAMES[-1]).name).write_bytes(encode_wav(np.ones(5000, np.float32) / 2))
    result = prepare(root, tmp_path, max_quarantined_fraction=0)
    assert (result["utterances"], result["duplicates"]) == (len(NAMES), len(NAMES))
    listed = table(result, "duplicates.parquet")
    assert {d["by"] for d in listed} == {"name"}
    assert [d["duplicate_of"] for d in listed] == [str(root / n) for n in NAMES]
    assert [d["differs_in"] for d in listed] == [""] * (len(NAMES) - 1) + ["content"]


def test_too_many_bad_files_fail_the_job_and_lose_nothing(root, tmp_path):
    (root / NAMES[3]).write_bytes(b"")
    with pytest.raises(RapportError) as caught:
        prepare(root, tmp_path)
    message = str(caught.value)
    assert "1 of 12 files of ravdess (8.3 %) cannot be used (1 empty)" in message
    assert "quarantine.parquet" in message
    assert "--max-quarantined-fraction" in message
    config = {"corpus": {"name": "ravdess", "root": str(root)}, "storage": str(tmp_path / "out"), "chunk_size": 5}
    split = {"validation": 0.25, "test": 0.25}
    plan = plan_corpus(PrepareConfig.model_validate({**config, "split": split, "max_quarantined_fraction": 0.1}))
    assert plan.pending == []
    result = assemble(plan)
    (bad,) = table(result, "quarantine.parquet")
    assert (bad["path"], bad["stage"], bad["reason"]) == (str(root / NAMES[3]), "decode", "empty")
    assert len(bad["sha256"]) == 64
    with pytest.raises(RapportError, match=r"max_quarantined_fraction 0\.05"):
        prepare(root, tmp_path, max_quarantined_fraction=0.05)


def test_a_corpus_without_one_usable_file_is_an_error(tmp_path):
    write_tones(tmp_path / "bad", NAMES)
    for name in NAMES:
        (tmp_path / "bad" / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(RapportError, match=r"not one of 12 files of ravdess can be used.*quarantine\.parquet"):
        prepare(tmp_path / "bad", tmp_path, max_quarantined_fraction=1)


def test_the_manifest_tells_what_went_in_and_what_is_missing(root, tmp_path):
    result = prepare(root, tmp_path)
    manifest = storage.read_manifest(result["folder"])
    assert manifest["config"]["limits"]["max_duration_s"] == 60
    assert manifest["counts"]["utterances"] == 12
    assert any("1440" in line for line in manifest["incomplete"])
    assert Path(result["folder"], "config.yaml").is_file()


def test_leftovers_of_a_killed_writer_are_swept(root, tmp_path):
    result = prepare(root, tmp_path)
    Path(result["folder"], "manifest.json").unlink()
    leftover = Path(result["folder"], "shards", "shard-00000.arrow.1234abcd.tmp")
    leftover.write_bytes(b"half")
    prepare(root, tmp_path)
    assert not leftover.exists()


def test_corpora_merge_with_the_splits_they_were_given(root, tmp_path):
    write_tones(tmp_path / "cremad", [f"AudioWAV/{a}_DFA_ANG_XX.wav" for a in range(1001, 1005)])
    speech = open_prepared(prepare(root, tmp_path)["folder"])
    other = open_prepared(prepare(tmp_path / "cremad", tmp_path, "cremad")["folder"])
    both = merge([speech, other])
    assert (both.name, len(both.rows)) == ("ravdess+cremad", 16)
    assert len(both.split("test")) == len(speech.split("test")) + len(other.split("test"))
    name = other.rows[0].utterance_id
    np.testing.assert_array_equal(both.waveform(name), other.waveform(name))
    with pytest.raises(RapportError, match="two of the corpora"):
        merge([speech, speech])
    with pytest.raises(RapportError, match="at least one"):
        merge([])
    with pytest.raises(RapportError, match="no utterance 'x'"):
        both.waveform("x")


def test_noise_is_a_sequence_that_reads_when_asked(tmp_path):
    write_tones(tmp_path / "musan", [f"noise/free-sound/noise-free-sound-000{i}.wav" for i in range(3)], duration_s=0.2)
    noises = load_noise(open_prepared(prepare(tmp_path / "musan", tmp_path, "musan")["folder"]))
    assert len(noises) == 3
    assert {len(n) for n in noises} == {3200}
    np.testing.assert_array_equal(noises[-1], noises[0:3][2])


def test_results_are_plain_json(root, tmp_path):
    result = prepare(root, tmp_path)
    assert json.loads(json.dumps(result)) == result
