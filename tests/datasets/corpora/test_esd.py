from collections import Counter

import pytest

from rapport.datasets.corpora import esd
from rapport.datasets.splits import SplitConfig, assign_splits


def write(root, speaker, *names, encoding="utf-8", text="The nine the eggs, I keep.", tab="\t"):
    lines = []
    for name in names:
        path = root / speaker / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        lines.append(tab.join((path.stem, text, name.split("/")[0])))
    table = root / speaker / f"{speaker}.txt"
    table.write_bytes(("\r\n".join(lines) + " \r\n\r\n").encode(encoding))


def scan_of(root, **options):
    return esd.scan(str(root), esd.Options(**options))


def test_both_layouts_are_read(tmp_path):
    write(tmp_path / "Emotion Speech Dataset", "0011", "Angry/0011_000351.wav", "Surprise/0011_001401.wav")
    write(tmp_path / "Emotion Speech Dataset", "0015", "Sad/evaluation/0015_001051.wav", "Happy/train/0015_000800.wav")
    scan = scan_of(tmp_path)
    assert not scan.rejected
    assert {(r.utterance_id, r.speaker_id, r.gender, r.emotion, r.emotion_raw) for r in scan.rows} == {
        ("esd/0011_000351", "esd/0011", "male", "angry", "Angry"),
        ("esd/0011_001401", "esd/0011", "male", "surprised", "Surprise"),
        ("esd/0015_001051", "esd/0015", "female", "sad", "Sad"),
        ("esd/0015_000800", "esd/0015", "female", "happy", "Happy"),
    }
    assert {r.text for r in scan.rows} == {"The nine the eggs, I keep."}


def test_mandarin_is_left_out_unless_asked_for(tmp_path):
    write(tmp_path, "0011", "Angry/0011_000351.wav")
    write(tmp_path, "0003", "Angry/0003_000351.wav", encoding="utf-16", text="打远一看。")
    scan = scan_of(tmp_path)
    assert [r.language for r in scan.rows] == ["en"]
    assert scan.left_out == {"mandarin": 1}
    both = scan_of(tmp_path, languages=("english", "mandarin")).rows
    assert [(r.language, r.text) for r in both if r.speaker_id == "esd/0003"] == [("zh", "打远一看。")]


@pytest.mark.parametrize(
    ("speaker", "encoding", "text"),
    [
        ("0011", "utf-8-sig", "It’s a naïve one."),
        ("0012", "utf-16", "It’s a naïve one."),
        ("0013", "utf-16-le", "It is one."),
        ("0014", "utf-16-be", "It is one."),
        ("0016", "cp1252", "It’s a naïve one."),
        ("0001", "gb18030", "打远一看。"),
        ("0002", "utf-8", "打远一看。"),
    ],
)
def test_tables_are_read_in_every_encoding_in_which_they_were_published(tmp_path, speaker, encoding, text):
    write(tmp_path, speaker, f"Neutral/{speaker}_000001.wav", encoding=encoding, text=text)
    (row,) = scan_of(tmp_path, languages=("english", "mandarin")).rows
    assert row.text == text


def test_a_table_with_spaces_for_tabs_is_understood(tmp_path):
    write(tmp_path, "0011", "Happy/0011_000701.wav", tab=" ")
    (row,) = scan_of(tmp_path).rows
    assert row.text == "The nine the eggs, I keep."


def test_what_does_not_fit_is_named(tmp_path):
    write(tmp_path, "0011", "Happy/0011_000701.wav", "Happy/0011_000702.wav", "Sad/0011_001051.wav")
    (tmp_path / "0011/Happy/0011_000702.wav").unlink()
    (tmp_path / "0011/Happy/0011_000703.wav").touch()
    (tmp_path / "0011/Happy/take.wav").touch()
    (tmp_path / "0011/0011_000704.wav").touch()
    with (tmp_path / "0011/0011.txt").open("a") as file:
        file.write("no table line\n")
    scan = scan_of(tmp_path)
    assert Counter(r.reason for r in scan.rejected) == {"no_audio": 1, "no_text": 1, "name": 1, "unknown_label": 1, "table_row": 1}
    assert any("0011.txt line 5" in r.message for r in scan.rejected)
    assert len(scan.rows) == 2
    happy = scan_of(tmp_path, emotions=("Happy",))
    assert happy.left_out == {"Sad": 1}
    assert len(happy.rows) == 1


def test_the_official_partition_is_the_same_by_folder_and_by_number(tmp_path):
    write(tmp_path, "0011", *(f"Sad/0011_{1050 + n:06d}.wav" for n in range(1, 351)))
    by_number = assign_splits(scan_of(tmp_path).rows, SplitConfig(method="published", name="official"))
    assert Counter(r.split for r in by_number) == {"validation": 20, "test": 30, "train": 300}
    write(tmp_path / "nested", "0012", "Sad/test/0012_001051.wav", "Sad/train/0012_001052.wav", "Sad/evaluation/0012_001100.wav")
    by_folder = assign_splits(scan_of(tmp_path / "nested").rows, SplitConfig(method="published", name="official"))
    assert [r.split for r in by_folder] == ["test", "train", "validation"]
