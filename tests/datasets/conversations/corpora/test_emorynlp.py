"""EmoryNLP in both forms: the benchmark's counts, whole scenes as context, names of several."""

import json
from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.conversations.card import read_conversation_card
from rapport.datasets.conversations.corpora.emorynlp import FILES, ORIGINALS, Options, joined, read, write_example

FULL = Options(history="full_scene", max_bad_fraction=1)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    write_example(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    root = shared_data / "emorynlp"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    return root


def test_the_real_tables_have_the_counts_of_the_specification(real: Path) -> None:
    found = read(str(real))
    assert not found.bad
    assert not found.deviations
    for split, side in found.counts().items():
        expected = read_conversation_card("emorynlp").expected[split]
        assert (side["dialogues"], side["lines"]) == (expected.dialogues, expected.lines)
    several = {split: sum(" and " in line.speaker for c in found.of(split) for line in c.lines) for split in found.counts()}
    assert several["train"] == 50
    assert several["validation"] == 4
    gaps = sum(int(c.lines[-1].line_id[-3:]) - int(c.lines[0].line_id[-3:]) + 1 != len(c.lines) for c in found.of("train"))
    starts = sum(not c.lines[0].line_id.endswith("u001") for c in found.of("train"))
    assert gaps + starts >= 627


def test_the_real_original_has_the_counts_of_the_specification(real: Path) -> None:
    found = read(str(real), Options(source="original"))
    assert not found.bad
    side = found.counts()["validation"]
    assert (side["dialogues"], side["lines"]) == (99, 1344)
    assert set(found.absent) == {"train", "test"}
    assert "not comparable" in found.notes[0]


def test_full_scenes_of_the_real_files_score_the_same_lines_with_more_around_them(real: Path) -> None:
    plain = read(str(real), Options(splits=("validation",)))
    full = read(str(real), Options(splits=("validation",), history="full_scene"))
    assert not full.bad
    assert not full.deviations
    scored = [[(x.line_id, x.text, x.speaker, x.label) for x in c.lines if x.label] for c in full.conversations]
    assert scored == [[(x.line_id, x.text, x.speaker, x.label) for x in c.lines] for c in plain.conversations]
    assert sum(len(c.lines) for c in full.conversations) == 1202


def test_a_full_scene_puts_the_lines_between_back_without_a_label(example: Path) -> None:
    scene = read(str(example), FULL).of("train")[0]
    assert [(x.turn, x.line_id[-4:], x.label) for x in scene.lines] == [(0, "u001", "Mad"), (1, "u002", None), (2, "u003", "Mad")]
    assert scene.lines[1].text == "Um..."
    assert [x.line_id[-4:] for x in read(str(example)).of("train")[0].lines] == ["u001", "u003"]


def test_full_scenes_without_their_original_are_an_error_that_says_what_to_do(example: Path) -> None:
    (example / ORIGINALS["train"]).unlink()
    with pytest.raises(RapportError, match=r"emotion-detection-trn.json does not exist.*splits.*history to subset"):
        read(str(example), FULL)
    assert read(str(example), FULL.model_copy(update={"splits": ("validation",)})).of("validation")


def test_originals_may_lie_elsewhere(example: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "json"
    elsewhere.mkdir(parents=True)
    for name in ORIGINALS.values():
        if (example / name).exists():
            (example / name).rename(elsewhere / name)
    assert len(read(str(example), FULL.model_copy(update={"originals": str(elsewhere)})).of("train")[0].lines) == 3


def test_names_of_several_are_joined_and_marks_of_groups_are_read() -> None:
    assert joined(["Monica Geller", "Phoebe Buffay"]) == "Monica Geller and Phoebe Buffay"
    assert joined(["#ALL#"]) == "All"
    assert joined(["Phoebe’s Assistant"]) == "Phoebe's Assistant"


def test_broken_rows_are_told_by_file_line_and_reason(example: Path) -> None:
    rows = (
        "Hm.,['Ross Geller'],Bored,3,9,1,2,a,b",
        "Hm.,Ross Geller,Mad,3,10,1,2,a,b",
        ",['Ross Geller'],Mad,3,11,1,2,a,b",
        "Twice.,['Ross Geller'],Mad,3,1,1,2,a,b",
    )
    with open(example / FILES["train"], "a", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    found = read(str(example), Options(max_bad_fraction=1))
    assert [(b.line, b.reason) for b in found.bad] == [(4, "unknown_label"), (5, "speaker"), (6, "empty"), (7, "duplicate")]
    assert "stands in line 2 already" in found.bad[3].message
    with pytest.raises(RapportError, match="4 of 8 rows"):
        read(str(example))


def test_a_line_that_the_original_lacks_is_told_and_ordered_by_its_number(example: Path) -> None:
    with open(example / FILES["train"], "a", encoding="utf-8") as file:
        file.write("Late.,['Ross Geller'],Sad,3,9,1,2,a,b\n")
    found = read(str(example), FULL)
    assert [(b.line, b.reason) for b in found.bad] == [(4, "no_scene")]
    assert found.of("train")[0].lines[-1].text == "Late."


def test_a_bad_line_of_the_original_is_told_where_it_stands(example: Path) -> None:
    path = example / ORIGINALS["train"]
    path.write_text(path.read_text(encoding="utf-8").replace('"Scared"', '"Bored"'), encoding="utf-8")
    (bad,) = read(str(example), Options(source="original", max_bad_fraction=1, splits=("train",))).bad
    assert bad.reason == "unknown_label"
    assert "u002" in path.read_text(encoding="utf-8").splitlines()[bad.line - 1]


def test_a_file_that_is_no_original_is_an_error(example: Path) -> None:
    (example / ORIGINALS["train"]).write_text(json.dumps({"episodes": [{}]}))
    with pytest.raises(RapportError, match=r"emotion-detection-trn.json: KeyError\('scenes'\)"):
        read(str(example), Options(source="original"))
