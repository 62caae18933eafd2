from collections import Counter

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.corpora import librispeech
from rapport.datasets.splits import SplitConfig, assign_splits


def write(root, *names, lines=None):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        identifier = path.stem
        chapter = identifier.rpartition("-")[0]
        with (path.parent / f"{chapter}.trans.txt").open("a") as file:
            file.write(f"{identifier} WORDS OF {identifier}\n" if lines is None else lines)


def scan_of(root, **options):
    return librispeech.scan(str(root), librispeech.Options(**options))


TRAIN, DEV, TEST = "train-clean-100/103/1240/103-1240-0000.flac", "dev-clean/84/121/84-121-0003.flac", "test-other/367/13/367-13-0001.flac"


def test_a_row_has_the_words_of_its_chapter_and_its_reader(tmp_path):
    write(tmp_path, TRAIN)
    (tmp_path / "SPEAKERS.TXT").write_text("; reader_id: ...\n103  | F | train-clean-100  | 24.01 | A name | with a bar\n")
    (row,) = scan_of(tmp_path).rows
    assert (row.utterance_id, row.speaker_id, row.gender) == ("librispeech/103-1240-0000", "librispeech/103", "female")
    assert row.text == "WORDS OF 103-1240-0000"
    assert row.emotion is None


def test_subsets_of_several_kinds_carry_the_published_split_and_one_kind_is_divided_by_reader(tmp_path):
    write(tmp_path, TRAIN, DEV, TEST)
    assert {r.utterance_id: r.split for r in scan_of(tmp_path).rows} == {
        "librispeech/103-1240-0000": "train",
        "librispeech/84-121-0003": "validation",
        "librispeech/367-13-0001": "test",
    }
    (row,) = scan_of(tmp_path / "dev-clean").rows
    assert row.split is None
    rows = assign_splits(scan_of(tmp_path).rows, SplitConfig(method="published"))
    assert Counter(r.split for r in rows) == {"train": 1, "validation": 1, "test": 1}


def test_subsets_can_be_chosen_and_the_others_are_counted(tmp_path):
    write(tmp_path, TRAIN, DEV)
    scan = scan_of(tmp_path, subsets=("train-clean-100",))
    assert [r.speaker_id for r in scan.rows] == ["librispeech/103"]
    assert scan.left_out == {"dev-clean": 1}
    assert not scan.rejected


def test_recordings_without_words_and_words_without_recording_are_named(tmp_path):
    write(tmp_path, TRAIN, lines="103-1240-0000 A HOUSE\n103-1240-0001 BY A BROOK\n103-1240-0002\n")
    (tmp_path / "train-clean-100/103/1240/103-1240-0002.flac").touch()
    scan = scan_of(tmp_path)
    assert [(r.reason, r.path.rsplit("/", 1)[-1]) for r in scan.rejected] == [
        ("no_audio", "103-1240-0001.flac"),
        ("no_text", "103-1240-0002.flac"),
    ]
    assert [r.text for r in scan.rows] == ["A HOUSE"]


def test_transcripts_alone_are_an_error(tmp_path):
    write(tmp_path, TRAIN)
    (tmp_path / TRAIN).unlink()
    with pytest.raises(RapportError, match="no usable recording"):
        scan_of(tmp_path)


def test_the_real_part_names_its_missing_recordings(shared_data):
    scan = scan_of(shared_data / "librispeech" / "LibriSpeech")
    assert [r.utterance_id for r in scan.rows] == ["librispeech/2412-153948-0000", "librispeech/2412-153948-0001"]
    assert {r.gender for r in scan.rows} == {"female"}
    assert scan.rows[0].text.startswith("IF THE READER WILL EXCUSE ME")
    assert Counter(r.reason for r in scan.rejected) == {"no_audio": 2701}
