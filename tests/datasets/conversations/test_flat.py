"""The published flat form is read and written without code, and a broken record is told."""

from pathlib import Path

import pytest

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.datasets.conversations.flat import FILES, SEEDS, read_stage, write_stage
from rapport.datasets.conversations.records import ReadOptions


def example(number: int, target: str = "sad") -> ErcExample:
    return ErcExample(f"meld/train/{number}/0/erc", "erc", f"A: “Hm” {number}\nANSWER:", target, target, ("sad", "angry"))


def test_a_stage_is_written_and_read_back(tmp_path: Path) -> None:
    sides = {"train": [example(1, "angry"), example(2)], "validation": [example(3)], "test": [example(4)]}
    write_stage(str(tmp_path), sides, seeds=[example(5, "Because. <sad>")])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*FILES.values(), SEEDS])
    assert (tmp_path / "test.json").read_text(encoding="utf-8") == '{"input": "A: “Hm” 4\\nANSWER:", "target": "sad"}\n'
    stage = read_stage(str(tmp_path), "erc")
    assert stage.labels == ("angry", "sad")
    for split, listed in sides.items():
        assert [(e.input, e.target) for e in stage.examples[split]] == [(e.input, e.target) for e in listed]
    assert [e.target for e in stage.seeds] == ["Because. <sad>"]
    ids = [e.example_id for listed in (*stage.examples.values(), stage.seeds) for e in listed]
    assert len(set(ids)) == 5
    assert ids[0] == "flat/train/flat/1/erc"
    assert stage.examples["train"][0].labels == ("angry", "sad")


def test_free_answers_have_no_labels_and_given_labels_are_kept(tmp_path: Path) -> None:
    write_stage(str(tmp_path), {"train": [example(1)]})
    assert read_stage(str(tmp_path), "role_play").labels == ()
    assert read_stage(str(tmp_path), "steer", labels=["x", "sad"]).labels == ("x", "sad")
    assert set(read_stage(str(tmp_path), "erc").examples) == {"train"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"input": "a", "target": null}', "null_target"),
        (b'{"input": "a"}', "keys"),
        (b'{"input": "a", "target": " "}', "empty"),
        (b'{"input": 1, "target": "a"}', "keys"),
        (b'{"input": "a", ', "json"),
        (b'{"input": "\xff", "target": "a"}', "encoding"),
    ],
)
def test_a_broken_record_is_told(tmp_path: Path, line: bytes, reason: str) -> None:
    write_stage(str(tmp_path), {"train": [example(1)]})
    with open(tmp_path / "train.json", "ab") as file:
        file.write(b"\n" + line + b"\n")
    stage = read_stage(str(tmp_path), "erc", options=ReadOptions(max_bad_fraction=0.5))
    assert [(b.line, b.reason) for b in stage.bad] == [(3, reason)]
    assert len(stage.examples["train"]) == 1
    with pytest.raises(RapportError, match=r"1 of 2 rows .*train.json line 3"):
        read_stage(str(tmp_path), "erc")


def test_a_separator_inside_a_text_is_no_end_of_a_line(tmp_path: Path) -> None:
    write_stage(str(tmp_path), {"train": [ErcExample("x", "erc", "one\u2028two\x85", "sad", "sad")]})
    assert read_stage(str(tmp_path), "erc").examples["train"][0].input == "one\u2028two\x85"


def test_a_folder_without_examples_and_a_task_that_is_none_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match=r"holds no example: wanted train\.json"):
        read_stage(str(tmp_path), "erc")
    with pytest.raises(RapportError, match="'ser': wanted role_play"):
        read_stage(str(tmp_path), "ser")
    with pytest.raises(RapportError, match="split 'dev'"):
        write_stage(str(tmp_path), {"dev": []})
