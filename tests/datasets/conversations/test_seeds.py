"""Examples with a rationale are lines of train alone, and every label is among them."""

from dataclasses import replace
from pathlib import Path

import pytest

from rapport.core.conversations import Conversation, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import Conversations
from rapport.datasets.conversations.seeds import FILE, Seed, check_seeds, gather_seeds, read_seeds, relocate, write_seeds

LINES = (Line(0, "0", "A", "Hm.", "sad"), Line(1, "1", "B", "Ha.", "glad"))
FOUND = Conversations("own", ("sad", "glad"), [Conversation("1", "own", "train", LINES), Conversation("2", "own", "test", LINES)])
SEEDS = [Seed("1", 0, "0", "sad", "A is low. <sad>"), Seed("1", 1, "1", "glad", "B is up. <glad>")]


def test_seeds_are_written_and_read_back(tmp_path: Path) -> None:
    path = str(tmp_path / "seeds.jsonl")
    write_seeds(path, SEEDS)
    assert read_seeds(path, FOUND) == SEEDS


@pytest.mark.parametrize(
    ("seeds", "tells"),
    [
        ([replace(SEEDS[0], dialogue_id="2"), SEEDS[1]], "dialogue 2, turn 0 is no line of the training side"),
        ([replace(SEEDS[0], label="glad"), SEEDS[1]], r"is 0 \(glad\), the corpus has 0 \(sad\)"),
        ([replace(SEEDS[0], rationale="<sad> A is low."), SEEDS[1]], "wanted <sad>"),
        ([*SEEDS, SEEDS[0]], "comes twice"),
        (SEEDS[:1], "no example of glad"),
    ],
)
def test_what_is_no_seed_is_refused(seeds: list[Seed], tells: str) -> None:
    with pytest.raises(RapportError, match=tells):
        check_seeds(seeds, FOUND)


def test_a_file_that_holds_no_seeds_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    with pytest.raises(RapportError, match="does not exist"):
        read_seeds(str(path), FOUND)
    path.write_text('{"turn": 1}\n')
    with pytest.raises(RapportError, match=r"line 1: keys turn, wanted dialogue_id, turn"):
        read_seeds(str(path), FOUND)


YAML = """
seeds:
  - {dialogue_id: "1", line_id: "0", label: sad, rationale: A is low. <sad>}
  - {dialogue_id: "1", line_id: "1", label: glad, rationale: B is up. <glad>}
"""


def test_a_list_by_line_ids_holds_wherever_the_lines_stand(tmp_path: Path) -> None:
    path = tmp_path / "seeds.yaml"
    path.write_text(YAML)
    assert read_seeds(str(path), FOUND) == SEEDS
    later = (Line(0, "x", "A", "Before."), *(replace(line, turn=line.turn + 1) for line in LINES))
    shifted = replace(FOUND, conversations=[Conversation("1", "own", "train", later)])
    assert [seed.turn for seed in read_seeds(str(path), shifted)] == [1, 2]
    assert relocate(SEEDS, shifted) == read_seeds(str(path), shifted)
    assert relocate(SEEDS, replace(FOUND, conversations=[])) == []
    path.write_text(YAML.replace('"1", label: glad', '"7", label: glad'))
    with pytest.raises(RapportError, match="7 of dialogue 1 is no line of the training side"):
        read_seeds(str(path), FOUND)


def test_seeds_come_from_the_file_named_from_beside_or_from_those_that_ship(tmp_path: Path) -> None:
    assert gather_seeds(FOUND, "none", str(tmp_path)) == ([], "none")
    assert gather_seeds(FOUND, root=str(tmp_path)) == ([], "none: nobody wrote reasons for own")
    write_seeds(str(tmp_path / FILE), SEEDS)
    assert gather_seeds(FOUND, root=str(tmp_path)) == (SEEDS, "beside the conversations")
    assert gather_seeds(FOUND, str(tmp_path / FILE)) == (SEEDS, str(tmp_path / FILE))
    seeds, why = gather_seeds(replace(FOUND, corpus="meld"))
    assert seeds == []
    assert "those that ship do not fit this copy (seeds_meld.yaml" in why
