"""Examples with a rationale are lines of train alone, and every label is among them."""

from dataclasses import replace
from pathlib import Path

import pytest

from rapport.core.conversations import Conversation, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import Conversations
from rapport.datasets.conversations.seeds import Seed, check_seeds, read_seeds, write_seeds

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
