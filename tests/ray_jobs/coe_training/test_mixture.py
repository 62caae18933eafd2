from collections import Counter

import pytest

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.ray_jobs.coe_training.config import MixtureConfig
from rapport.ray_jobs.coe_training.mixture import held_out, limited, mixed, raw_texts


def examples(task: str, count: int, dialogues: int = 5) -> list[ErcExample]:
    return [
        ErcExample(f"meld/train/{n % dialogues}/{n}/{task}", task, f"DIALOGUE: {'line ' * n}\nANSWER:", "answer", "sad", ("sad",))
        for n in range(count)
    ]


TASKS = {"role_play": examples("role_play", 40), "speaker": examples("speaker", 20), "steer": examples("steer", 10)}


def counts(**settings) -> dict[str, int]:
    return dict(Counter(e.task for e in mixed(TASKS, MixtureConfig.model_validate(settings), 0)))


def test_without_settings_all_examples_are_put_together():
    assert mixed(TASKS, MixtureConfig(), 0) == [example for found in TASKS.values() for example in found]


def test_weights_temperature_and_caps_balance_the_tasks():
    assert counts(weights={"steer": 5}) == {"role_play": 25, "speaker": 13, "steer": 32}
    assert counts(temperature=1e6) == {"role_play": 24, "speaker": 23, "steer": 23}
    assert counts(caps={"role_play": 10, "speaker": 5}) == {"role_play": 10, "speaker": 5, "steer": 10}
    assert counts(weights={"speaker": 0}, caps={"role_play": 10}) == {"role_play": 20, "steer": 20}
    with pytest.raises(RapportError, match=r"mixture\.weights of role_play, speaker, steer is 0"):
        counts(weights={"role_play": 0, "speaker": 0, "steer": 0})


def test_a_task_with_too_few_examples_gives_each_as_often_as_any_other():
    found = Counter(e.example_id for e in mixed(TASKS, MixtureConfig.model_validate({"weights": {"steer": 5}}), 0) if e.task == "steer")
    assert len(found) == 10
    assert set(found.values()) == {3, 4}


def test_the_seed_decides_what_is_drawn():
    drawn = [limited(TASKS["role_play"], 10, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] == [e for e in TASKS["role_play"] if e in drawn[0]]


def test_whole_conversations_of_the_harvest_are_held_out():
    learned, out = held_out(TASKS["steer"], 0.4, 0)
    assert len(learned) == 6
    assert {e.example_id.split("/")[2] for e in learned}.isdisjoint(e.example_id.split("/")[2] for e in out)
    assert held_out(TASKS["steer"], 0.0, 0) == (TASKS["steer"], [])


def test_raw_texts_are_the_fullest_prompts_of_each_conversation_without_the_mark_of_an_answer():
    found = raw_texts(TASKS["role_play"] + TASKS["speaker"])
    assert len(found) == 10
    assert all(e.input == e.gold == "" for e in found)
    assert {e.target for e in found if e.task == "speaker"} == {e.input.removesuffix("ANSWER:").rstrip() for e in TASKS["speaker"][-5:]}
