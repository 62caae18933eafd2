"""The published rounds, faults included."""

import random
from pathlib import Path

import pytest

from rapport.models.erc.upstream import Record, filter_round
from rapport.ray_jobs.coe_training.steer.published import published_harvest
from rapport.ray_jobs.coe_training.steer.stage import PublishedFaults, run_steer
from tests.toy_steer import ToyStage, example, reasons

POOL = [example(n) for n in range(3, 14)]
TEXTS = {e.example_id: reasons(e) for e in POOL}


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_a_round_does_what_the_published_filter_does(workers: int) -> None:
    found = published_harvest(POOL, TEXTS, PublishedFaults("new_iemocap", workers), 1)
    shuffled = list(POOL)
    random.Random(42).shuffle(shuffled)
    records = [Record(e.input, e.target) for e in shuffled]
    memory, pool = filter_round(records, [TEXTS[e.example_id] for e in shuffled], "new_iemocap", workers)
    assert [(e.input, e.target) for e in found.accepted] == [(r.input, r.target) for r in memory]
    assert [(e.input, e.target) for e in found.pool] == [(r.input, r.target) for r in pool]
    assert sum(row["accepted"] for row in found.rows) == len(memory)
    assert all(row["accepted"] == (row["parsed"] == row["compared"]) for row in found.rows)
    # Without a second worker all right answers with a label that the filter knows are taken.
    assert (len(memory) == sum(e.gold != "joyful" for e in POOL)) is (workers == 1)


def test_labels_are_those_of_another_corpus_under_the_corpus_own_name() -> None:
    """Section 7.1.3: `iemocap` gets the labels of MELD, which know no excitement."""
    asked = [example(3), example(4)]
    texts = {asked[0].example_id: "<sad>", asked[1].example_id: "<excited>"}
    found = published_harvest(asked, texts, PublishedFaults("iemocap"), 0)
    assert [row["reason"] for row in sorted(found.rows, key=lambda row: row["text"])] == ["no_label", ""]


def test_trainings_see_the_seeds_alone(tmp_path: Path) -> None:
    """Section 7.1.1."""
    toy = ToyStage(tmp_path, rank=lambda e: 1, first_rollout=1)
    setup = type(toy.setup)(**{**{n: getattr(toy.setup, n) for n in toy.setup.__slots__}, "published": PublishedFaults("meld", 2)})
    result = run_steer(setup, quiet=True, train=toy.pupil.train, ask=toy.pupil.ask)
    assert [toy.pupil.trained_on(n) for n in range(3)] == [[e.example_id for e in toy.seeds]] * 3
    assert (result["stopped"], len(result["rounds"])) == ("rounds", 3)
    assert [record["asks"] for record in result["rounds"]] == [False, True, True]
    # What is refused is written back with the label of another line.
    left = toy.rows("pool", 2)
    assert any(line["target"] != line["gold"] for line in left)
    assert result["rounds"][1]["accepted"] < 12
