"""The faults of the published self-training, reproduced."""

import random
from collections import Counter

import pytest

from rapport.core.conversations import LABELS
from rapport.core.errors import RapportError
from rapport.models.erc.answers import find_label
from rapport.models.erc.upstream import (
    Record,
    accepts,
    answer_of,
    compared_pairs,
    cut_prompt,
    filter_labels,
    filter_round,
    gathered_order,
    listed_label,
    table_labels,
    training_records,
)

# Labels of the training sides (sections 6.1 and 6.2).
MELD = Counter(neutral=4710, joyful=1743, surprise=1205, angry=1109, sad=683, disgust=271, fear=268)
EMORY = Counter(Neutral=2485, Joyful=1677, Scared=941, Peaceful=638, Powerful=551, Mad=785, Sad=474)
IEMOCAP = Counter(happy=504, sad=839, neutral=1324, angry=933, excited=742, frustrated=1468)


def test_the_list_of_labels_decides_and_not_the_text() -> None:
    text = "At first <angry>, in the end <neutral> or not <Sad>."
    assert listed_label(text, "meld") == "neutral"
    assert find_label(text, LABELS["meld"]) == "neutral"
    text = "At first <neutral>, in the end <angry>."
    assert listed_label(text, "meld") == "neutral"
    assert find_label(text, LABELS["meld"]) == "angry"
    assert listed_label("no label", "meld") is None


def test_names_that_the_filter_knows_are_unknown_to_the_table_of_labels() -> None:
    assert filter_labels("new_emorynlpv2") == LABELS["emorynlp"]
    assert filter_labels("emorynlp") == filter_labels("iemocap") == LABELS["meld"]
    assert table_labels("emorynlp") == LABELS["emorynlp"]
    with pytest.raises(RapportError, match="new_emorynlpv2"):
        table_labels("new_emorynlpv2")


@pytest.mark.parametrize(("dataset", "counts", "share"), [("emorynlp", EMORY, 0.61), ("meld", MELD, 1.0)])
def test_only_labels_that_meld_has_too_can_be_accepted(dataset: str, counts: Counter[str], share: float) -> None:
    reachable = sum(number for label, number in counts.items() if accepts(f"Surely <{label}>", label, dataset))
    assert reachable / counts.total() == pytest.approx(share, abs=0.005)


def test_of_iemocap_only_sad_neutral_and_angry_can_be_accepted() -> None:
    assert [label for label in LABELS["iemocap"] if accepts(f"<{label}>", label, "iemocap")] == ["sad", "neutral", "angry"]
    assert all(accepts(f"<{label}>", label, "new_iemocap") for label in LABELS["iemocap"])


def test_one_worker_compares_every_answer_with_its_own_label() -> None:
    assert compared_pairs(5, 1) == [(k, k) for k in range(5)]


def test_with_two_workers_a_single_answer_is_compared_with_its_own_label() -> None:
    assert compared_pairs(6, 2) == [(0, 0), (2, 1), (4, 2), (1, 0), (3, 1), (5, 2)]
    for items in (2, 7, 100):
        assert sum(item == compared for item, compared in compared_pairs(items, 2)) == 1


def test_shares_of_workers_are_filled_up_from_the_start() -> None:
    assert gathered_order(5, 2) == [0, 2, 4, 1, 3, 0]
    assert gathered_order(1, 4) == [0, 0, 0, 0]
    assert gathered_order(0, 3) == []
    assert compared_pairs(0, 2) == []


@pytest.mark.parametrize(("counts", "dataset", "share"), [(EMORY, "new_emorynlpv2", 0.20), (MELD, "meld", 0.29)])
def test_with_two_workers_perfect_answers_are_accepted_by_chance_and_labels_move(counts: Counter[str], dataset: str, share: float) -> None:
    labels = list(counts.elements())
    random.Random(42).shuffle(labels)
    pool = [Record(f"prompt {k}", label) for k, label in enumerate(labels)]
    answers = [f"Clearly <{label}>" for label in labels]
    memory, unsolved = filter_round(pool, answers, dataset, workers=2)
    assert len(memory) / len(pool) == pytest.approx(share, abs=0.02)
    right = dict((record.input, record.target) for record in pool)
    assert all(right[record.input] != record.target for record in unsolved)
    assert len(filter_round(pool, answers, dataset)[0]) == len(pool)


def test_a_pool_that_is_solved_to_the_end_stays_as_it_was() -> None:
    pool = [Record("a", "sad"), Record("b", "fear")]
    memory, unsolved = filter_round(pool, ["<sad>", "<fear>"], "meld")
    assert memory == [Record("a", "<sad>"), Record("b", "<fear>")]
    assert unsolved == pool
    assert filter_round(pool, ["<sad>", "<sad>"], "meld")[1] == [Record("b", "fear")]


def test_training_never_sees_what_was_harvested() -> None:
    seeds = [Record("seed", "So. <sad>")]
    assert training_records(seeds, [*seeds, Record("a", "<sad>")]) == seeds


def test_a_long_prompt_loses_its_end() -> None:
    assert cut_prompt(range(2000))[-1] == 1398
    assert cut_prompt(range(10)) == list(range(10))


def test_an_answer_is_what_is_left_of_the_output_without_any_copy_of_the_prompt() -> None:
    assert answer_of("ask me: sad ask me: ", "ask me:", "tail") == "sad"
    assert answer_of("ask  me: sad", "ask me:", " LABELS: neutral, sad ") == "LABELS: neutral, sad"
