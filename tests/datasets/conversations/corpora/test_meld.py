"""MELD's tables become conversations with the published counts, and a broken row is told by file, line and reason."""

import shutil
from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.conversations.card import read_conversation_card
from rapport.datasets.conversations.corpora.meld import FILES, HEADER, Options, read, write_example

PATIENT = Options(max_bad_fraction=1)


def row(text: str = "Hello there.", emotion: str = "joy", dialogue: object = 7, utterance: object = 0, speaker: str = "Ross") -> str:
    return f'9,"{text}",{speaker},{emotion},positive,{dialogue},{utterance},1,1,"00:00:01,000","00:00:02,000"\n'


@pytest.fixture
def example(tmp_path: Path) -> Path:
    write_example(tmp_path)
    return tmp_path


def append(folder: Path, *rows: str | bytes) -> None:
    with open(folder / FILES["train"], "ab") as file:
        file.writelines(r if isinstance(r, bytes) else r.encode() for r in rows)


def test_labels_are_the_benchmarks_and_marks_are_plain(example: Path) -> None:
    found = read(str(example))
    first, second = found.of("train")[0].lines
    assert first.text == '"Wait" - is that cake?...'
    assert second.text == "It was. You're late."
    assert [first.label, second.label] == ["surprise", "angry"]
    assert [first.line_id, second.line_id] == ["0", "2"], "a gap is kept"
    assert [first.turn, second.turn] == [0, 1]
    assert found.origins["train/1"] == "s01_e02"


def test_the_real_tables_have_the_counts_of_the_specification(shared_data: Path) -> None:
    root = shared_data / "meld"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    found = read(str(root))
    assert not found.bad
    assert not found.deviations
    counts = found.counts()
    for split, side in counts.items():
        expected = read_conversation_card("meld").expected[split]
        assert side == {"dialogues": expected.dialogues, "lines": expected.lines, **{x: expected.labels[x] for x in found.labels}}
    assert {"train", "validation"} <= set(counts)
    assert all("\u2019" not in line.text and "  " not in line.text for c in found.conversations for line in c.lines)
    assert "60" not in {c.dialogue_id for c in found.of("train")}
    longest = {split: max(len(c.lines) for c in found.of(split)) for split in counts}
    assert longest["train"] == 24


@pytest.mark.parametrize("below", ["", "data/MELD"])
def test_a_checkout_of_the_repository_is_read_as_its_folder_of_tables(below: str, tmp_path: Path) -> None:
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    write_example(tmp_path / below)
    found = read(str(tmp_path))
    assert len(found.conversations) == 3
    assert list(found.absent) == ["test"]
    assert found.absent["test"].endswith(f"{below}/test_sent_emo.csv")


def test_a_copy_that_is_not_complete_is_read_and_told(example: Path) -> None:
    found = read(str(example))
    assert "train: 2 dialogues of 1038 in the complete corpus" in found.deviations
    assert "train: 1 surprise of 1205 in the complete corpus" in found.deviations


@pytest.mark.parametrize(
    ("broken", "reason", "tells"),
    [
        (row(emotion="boredom"), "unknown_label", "'boredom', wanted one of neutral"),
        (row(text="  "), "empty", 'column "Utterance": empty'),
        (row(speaker=""), "speaker", 'column "Speaker"'),
        (row(dialogue="x"), "number", "'x', wanted a whole number"),
        (row(dialogue=0, utterance=2), "duplicate", "dialogue 0 has an utterance 2 already; the first is kept"),
        (b'9,"It\x92s me.",Ross,joy,positive,7,0,1,1,"a","b"\n', "encoding", "byte 0x92 is not UTF-8"),
        ("9,Hello,Ross\n", "cells", "3 cells, wanted 11"),
    ],
)
def test_a_broken_row_is_told_by_file_line_and_reason(example: Path, broken: str | bytes, reason: str, tells: str) -> None:
    append(example, broken)
    before = read(str(example), PATIENT)
    (bad,) = before.bad
    assert (bad.line, bad.reason) == (5, reason)
    assert bad.file.endswith(FILES["train"])
    assert tells in bad.message
    with pytest.raises(RapportError, match=r"1 of 6 rows cannot be used .*train_sent_emo.csv line 5: .*max_bad_fraction"):
        read(str(example))


def test_a_line_of_an_unknown_label_stays_as_context(example: Path) -> None:
    append(example, row(emotion="boredom", dialogue=0, utterance=1))
    lines = read(str(example), PATIENT).of("train")[0].lines
    assert [line.label for line in lines] == ["surprise", None, "angry"]


def test_a_cell_of_several_lines_does_not_shift_the_numbers_after_it(example: Path) -> None:
    append(example, row(text="one\ntwo", dialogue=8), row(emotion="boredom"))
    found = read(str(example), PATIENT)
    assert [bad.line for bad in found.bad] == [7]
    assert found.of("train")[2].lines[0].text in ("Hello there.", "one two")


def test_a_few_bad_rows_in_many_do_not_stop_the_reading(tmp_path: Path, shared_data: Path) -> None:
    if not (shared_data / "meld").is_dir():
        pytest.skip("no MELD")
    for name in (FILES["train"], FILES["validation"]):
        shutil.copyfile(shared_data / "meld" / name, tmp_path / name)
    append(tmp_path, row(emotion="boredom", dialogue=5000), row(text="", dialogue=5001))
    found = read(str(tmp_path))
    assert [bad.reason for bad in found.bad] == ["unknown_label", "empty"]
    assert found.bad[0].line == 9991


def test_a_missing_column_is_an_error_that_names_it_and_what_there_is(example: Path) -> None:
    table = example / FILES["train"]
    table.write_text(table.read_text(encoding="utf-8").replace("Emotion", "Mood"), encoding="utf-8")
    with pytest.raises(RapportError, match=r'train_sent_emo.csv line 1: no column "Emotion"; the columns are Sr No., .*Mood'):
        read(str(example))


def test_a_table_in_another_encoding_is_an_error_that_says_so(example: Path) -> None:
    table = example / FILES["train"]
    table.write_text(table.read_text(encoding="utf-8"), encoding="utf-16")
    with pytest.raises(RapportError, match="UTF-8"):
        read(str(example))


def test_an_open_quote_is_an_error_and_swallows_nothing(example: Path) -> None:
    append(example, '9,"Hello,Ross,joy,positive,7,0,1,1,a,b\n', row(dialogue=8))
    with pytest.raises(RapportError, match="is a quote not closed"):
        read(str(example))


def test_the_columns_that_are_needed_are_published_ones() -> None:
    assert len(HEADER) == 11
