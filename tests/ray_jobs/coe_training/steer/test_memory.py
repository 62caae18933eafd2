from dataclasses import replace

import pytest

from rapport.core.errors import RapportError
from rapport.models.erc.answers import Rollout
from rapport.models.erc.config import AnswerConfig
from rapport.models.erc.generation import Written
from rapport.ray_jobs.coe_training.steer.memory import Harvest, check_inputs, harvest, new_share, some_of, watched, wrong
from tests.toy_steer import example, reasons, seed_example

POOL = [example(n) for n in range(3, 9)]
SEEDS = [seed_example(n) for n in range(3)]


def gathered(*rollouts: Rollout, **settings: object) -> Harvest:
    config = AnswerConfig.model_validate(settings)
    return harvest(POOL, rollouts, SEEDS, config, lambda text: len(text.split()), number=2, seed=0)


def test_what_is_right_joins_the_memory_with_its_own_prompt_and_leaves_the_pool() -> None:
    found = gathered(Rollout(POOL[0].example_id, f"{reasons(POOL[0])} and so on"), Rollout(POOL[1].example_id, reasons(POOL[1], "sad")))
    (kept,) = found.accepted
    assert (kept.example_id, kept.input, kept.target) == (POOL[0].example_id, POOL[0].input, reasons(POOL[0]))
    assert kept.meta == {"round": 2, "sample": 0, "hinted": False}
    assert found.pool == POOL[1:]
    assert [(row["accepted"], row["reason"], row["parsed"], row["gold"]) for row in found.rows] == [
        (True, "", "sad", "sad"),
        (False, "wrong_label", "sad", "joyful"),
    ]
    assert found.figures["by_class"]["sad"] == {"asked": 2, "solved": 1}
    assert found.figures["refused"] == {"wrong_label": 1}


def test_of_two_labels_the_last_counts() -> None:
    """Acceptance test (d) of the specification."""
    text = reasons(POOL[1]).replace("\n", " One could say <angry>, but no.\n")
    assert [row["parsed"] for row in gathered(Rollout(POOL[1].example_id, text)).rows] == ["joyful"]
    turned = reasons(POOL[1]) + " Or rather <angry>"
    assert not gathered(Rollout(POOL[1].example_id, turned)).accepted


def test_several_answers_to_a_line_are_learned_when_they_differ() -> None:
    text = reasons(POOL[0])
    rollouts = [Rollout(POOL[0].example_id, t, sample) for sample, t in enumerate((text, text, text.replace("shows", "shows much")))]
    found = gathered(*rollouts)
    assert [row["reason"] for row in found.rows] == ["", "duplicate", ""]
    assert (found.figures["solved"], found.figures["accepted"]) == (1, 2)


def test_a_full_class_leaves_lines_in_the_pool() -> None:
    found = gathered(*(Rollout(e.example_id, reasons(e)) for e in POOL), class_cap=1)
    assert {label: counts["solved"] for label, counts in found.figures["by_class"].items()} == {"sad": 1, "joyful": 1, "angry": 1}
    assert len(found.pool) == 3


def test_only_what_has_no_right_answer_is_hinted_at() -> None:
    short = Rollout(POOL[1].example_id, "So. <joyful>")
    assert wrong(POOL[:3], [Rollout(POOL[0].example_id, reasons(POOL[0])), short, Rollout(POOL[2].example_id, "?")]) == [POOL[2]]


def test_reasons_like_a_seed_are_not_new() -> None:
    alike = replace(POOL[0], target=SEEDS[0].target)
    other = replace(POOL[0], target="Nobody expected anything of the kind from him that day. <sad>")
    assert new_share([alike], SEEDS, 5) == 0
    assert new_share([alike, other], SEEDS, 5) == 0.5
    assert new_share([], SEEDS, 5) is None


def test_answers_that_are_no_seed_s_are_counted() -> None:
    seed = SEEDS[0]
    alike = next(e for e in POOL if e.gold == seed.gold)
    other = next(e for e in POOL if e != alike)
    rollouts = Rollout(alike.example_id, seed.target), Rollout(other.example_id, reasons(other))
    found = gathered(*rollouts, duplicates="example")
    assert (found.figures["accepted"], found.figures["new_answers"]) == (2, 1)


def test_lines_are_drawn_by_name() -> None:
    assert some_of(POOL, 4, 1) == some_of(POOL[::-1], 4, 1) != some_of(POOL, 4, 2)
    assert set(e.example_id for e in some_of(POOL, 2, 1)) < set(e.example_id for e in some_of(POOL, 4, 1))
    assert some_of(POOL, 100, 1) == sorted(POOL, key=lambda e: e.example_id)


def test_an_answer_without_a_label_is_wrong() -> None:
    texts = ["<sad>", "none", "<joyful>"]
    rows, figures = watched(POOL[:3], [Written(e.example_id, t, 3, True, 9) for e, t in zip(POOL, texts, strict=False)])
    assert [row["parsed"] for row in rows] == ["sad", None, "joyful"]
    assert figures == {"examples": 3, "accuracy": pytest.approx(1 / 3), "weighted_f1": pytest.approx(1 / 3), "unread": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    ("seeds", "pool", "message"),
    [
        ([], POOL, "no seeds"),
        (SEEDS, [*POOL, example(3, "test")], "toy/test/d3/0/steer is of test"),
        ([replace(SEEDS[0], example_id="toy/validation/d0/0/steer")], POOL, "is of validation"),
        (SEEDS, [*POOL, POOL[0]], "in the pool 2 times"),
        (SEEDS, [*POOL, example(0)], "1 seeds are in the pool too, such as toy/train/d0/0/steer"),
        ([example(0)], POOL, "end in None, wanted <sad>"),
        ([replace(SEEDS[0], task="erc")], POOL, "of the task erc"),
    ],
)
def test_what_may_not_be_learned_from_is_refused(seeds, pool, message) -> None:
    """Part of acceptance test (h): no line of test or validation can get into the memory."""
    with pytest.raises(RapportError, match=message):
        check_inputs(seeds, pool)
