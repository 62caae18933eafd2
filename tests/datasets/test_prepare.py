"""How the work is cut, keyed and taken over, and what is refused before any of it begins."""

import os
from dataclasses import replace

import pytest

from rapport.core.config import ConfigError, load_config
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.corpora import ravdess
from rapport.datasets.prepare import PrepareConfig, make_chunks, plan_corpus
from rapport.datasets.scan import Duplicate, Rejected, Scan, write_tones
from rapport.datasets.splits import SplitConfig
from rapport.datasets.stages.decode import decode_chunk

NAMES = tuple(f"Actor_{a:02d}/03-01-0{e}-01-01-01-{a:02d}.wav" for a in (1, 2, 3) for e in (1, 3, 4, 5))


@pytest.fixture
def root(tmp_path):
    write_tones(tmp_path / "ravdess", NAMES, duration_s=0.2)
    return tmp_path / "ravdess"


@pytest.fixture
def config(root, tmp_path):
    return settings(root, tmp_path)


def settings(root, tmp_path, **changes):
    values = {"corpus": {"name": "ravdess", "root": str(root)}, "storage": str(tmp_path / "out"), "chunk_size": 5}
    return PrepareConfig.model_validate({**values, "split": {"validation": 0.3, "test": 0.3}, **changes})


def finish(plan):
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)


def scan_of(count, **parts):
    return Scan([Utterance(f"own/{i}", "own", f"/a/{i}.wav") for i in range(count)], **parts)


def test_chunks_hold_so_many_clips_and_rejected_files_come_last():
    scan = scan_of(5, rejected=[Rejected("/a/x", "name", "odd")], duplicates=[Duplicate("/b/3.wav", "/a/3.wav")])
    chunks = make_chunks(scan, PrepareConfig(chunk_size=2), {})
    assert [len(c.rows) for c in chunks] == [2, 2, 1, 0]
    assert [c.index for c in chunks] == [0, 1, 2, 3]
    assert chunks[1].copies == {"/a/3.wav": ("/b/3.wav",)}
    assert [r.path for r in chunks[3].rejected] == ["/a/x"]


def test_long_recordings_close_a_chunk_early():
    stamps = {f"/a/{i}.wav": [3 * 2**20, 0] for i in range(6)}
    assert [len(c.rows) for c in make_chunks(scan_of(6), PrepareConfig(chunk_mib=5), stamps)] == [2, 2, 2]


def test_many_rows_of_one_recording_count_its_size_once():
    rows = [Utterance(f"own/{i}", "own", "/a/dialogue.wav", start_s=float(i)) for i in range(6)]
    assert len(make_chunks(Scan(rows), PrepareConfig(chunk_mib=5), {"/a/dialogue.wav": [3 * 2**20, 0]})) == 1


def test_a_key_stands_for_rows_files_and_limits():
    def key(scan, stamps=None, **changes):
        return make_chunks(scan, PrepareConfig.model_validate(changes), stamps or {"/a/0.wav": [10, 5]})[0].key

    plain = key(scan_of(1))
    assert plain == key(scan_of(1), max_quarantined_fraction=0.5, storage="/elsewhere")
    relabelled = Scan([replace(scan_of(1).rows[0], emotion="sad")])
    others = [key(relabelled), key(scan_of(1), {"/a/0.wav": [11, 5]}), key(scan_of(1), {"/a/0.wav": [10, 6]})]
    others.append(key(scan_of(1), limits={"max_duration_s": 10}))
    assert len({plain, *others}) == 5


def test_a_second_plan_finds_the_finished_chunks(config):
    plan = plan_corpus(config)
    assert (len(plan.chunks), len(plan.pending)) == (3, 3)
    finish(replace(plan, pending=plan.pending[:2]))
    again = plan_corpus(config)
    assert (again.folder, [c.index for c in again.pending]) == (plan.folder, [2])


def test_another_split_takes_over_what_is_decoded(config, root, tmp_path):
    first = plan_corpus(config)
    finish(first)
    other = plan_corpus(settings(root, tmp_path, split={"method": "all_test"}))
    assert other.folder != first.folder
    assert other.pending == []
    assert plan_corpus(other.config).pending == []


def test_mending_one_file_redoes_its_chunk_alone(config, root):
    finish(plan_corpus(config))
    os.utime(root / NAMES[-1], (1, 1))
    assert [c.index for c in plan_corpus(config).pending] == [2]


def test_a_root_may_be_a_uri(config, root, tmp_path):
    plan = plan_corpus(settings(f"file://{root}", tmp_path, storage=f"file://{tmp_path}/out"))
    assert plan.folder.startswith(f"file://{tmp_path}/out/corpora/ravdess/")
    assert all(r.audio_path.startswith("file://") for c in plan.chunks for r in c.rows)
    finish(plan)
    assert plan_corpus(plan.config).pending == []


def test_a_table_may_be_the_root(tmp_path):
    write_tones(tmp_path / "own", ("a/1.wav", "a/2.wav", "b/1.wav"))
    (tmp_path / "own" / "list.csv").write_text("path,emotion,speaker\na/1.wav,happy,x\na/2.wav,sad,y\nb/1.wav,angry,z\n")
    config = settings(tmp_path / "own" / "list.csv", tmp_path)
    corpus = {"name": "csv", "root": str(tmp_path / "own" / "list.csv"), "options": {"corpus": "mine"}}
    plan = plan_corpus(PrepareConfig.model_validate({**config.model_dump(), "corpus": corpus}))
    assert plan.corpus == "mine"
    assert "/corpora/mine/" in plan.folder
    finish(plan)
    os.utime(tmp_path / "own" / "a" / "1.wav", (1, 1))
    assert len(plan_corpus(plan.config).pending) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": {"name": "ravdes", "root": "/x"}}, r"no 'ravdes' in datasets/corpora.*did you mean 'ravdess'"),
        ({"corpus": {"name": "ravdess"}}, r"corpus\.root is empty"),
        ({"corpus": {"name": "ravdess", "root": "/nowhere"}}, r"/nowhere"),
        ({"split": {"method": "published", "name": "mine"}}, r"split\.name 'mine'"),
    ],
)
def test_mistakes_are_told_before_anything_is_decoded(root, tmp_path, changes, message):
    with pytest.raises(RapportError, match=message):
        plan_corpus(settings(root, tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def test_a_misspelt_option_is_refused_by_name(root, tmp_path):
    with pytest.raises(ConfigError, match=r"corpus\.options of ravdess:\s+chanels: no such setting; did you mean channels"):
        plan_corpus(settings(root, tmp_path, corpus={"name": "ravdess", "root": str(root), "options": {"chanels": ["song"]}}))


def test_two_rows_of_one_name_are_refused(root, tmp_path, monkeypatch):
    row = Utterance("ravdess/1", "ravdess", "/a.wav", speaker_id="1")
    monkeypatch.setattr(ravdess, "scan", lambda root, options: Scan([row, replace(row, audio_path="/b.wav")]))
    with pytest.raises(RapportError, match=r"ravdess/1: /a\.wav and /b\.wav"):
        plan_corpus(settings(root, tmp_path))


def test_options_and_splits_come_from_the_command_line():
    argv = ["--corpus.options", "channels=[speech, song]", "modalities=[audio]", "--split.method", "kfold", "--split.fold", "2"]
    config = load_config(PrepareConfig, argv)
    assert config.corpus.options == {"channels": ["speech", "song"], "modalities": ["audio"]}
    assert config.split == SplitConfig(method="kfold", fold=2)
    with pytest.raises(SystemExit):
        load_config(PrepareConfig, ["--corpus.options", "song"])
