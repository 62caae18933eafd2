"""The judge without a model follows the policies of the published tasks."""

import json
from typing import Any

import pytest

from rapport.core.errors import RapportError
from rapport.models.backends.judges import load_judge
from rapport.simulator.cache import Cached
from rapport.simulator.requests import JudgeRequest
from tests.models.backends.judge.asked import asked

CORNERS = (("japanese_food_corner", "western_food_corner"), ((1, "Japanese Menu"), (2, "Western Menu")))
POTATOES = ("potato", "sweet_potato")


def verdict(request: JudgeRequest, name: str = "rule", **settings: Any) -> tuple[str | None, int | None]:
    """(item, scene) of the reply."""
    reply = json.loads(str(load_judge(name, **settings).batch([request])[0]))
    assert isinstance(reply["response_text"], str)
    assert reply["response_text"]
    assert (reply["next_scene_reason"] is None) == (reply["next_scene_id"] is None)
    return reply["item_name"], reply["next_scene_id"]


@pytest.mark.parametrize("heard", ["kiwi fruit", "I want kiwi fruit.", "i’ll take KIWI_FRUIT", "give me  kiwi fruit"])
def test_a_clear_request_is_served(heard: str) -> None:
    assert verdict(asked(heard)) == ("kiwi_fruit", 1)


@pytest.mark.parametrize("heard", ["kiwi", "kiwi fruit apple", "want i kiwi fruit", "i want banana", "hmm"])
def test_anything_else_gets_nothing_and_leaves_or_stays(heard: str) -> None:
    assert verdict(asked(heard)) == (None, 1)
    assert verdict(asked(heard), otherwise="stay") == (None, None)


def test_silence_is_greeted_with_what_there_is() -> None:
    assert verdict(asked("")) == (None, None)
    assert "kiwi fruit or apple" in str(load_judge("rule").batch([asked(" ...")])[0])
    assert verdict(asked("", offered=())) == (None, None)


def test_an_item_leads_to_the_scene_that_shares_its_words() -> None:
    assert verdict(asked("japanese food corner", *CORNERS)) == ("japanese_food_corner", 1)
    assert verdict(asked("western food corner", *CORNERS)) == ("western_food_corner", 2)
    assert verdict(asked("whatever", *CORNERS)) == (None, None), "no single way on to follow"
    assert verdict(asked("apple", moves=((1, "Till"), (2, "Door")))) == ("apple", None)


def test_a_scene_that_is_named_is_gone_to() -> None:
    assert verdict(asked("Western menu", *CORNERS)) == (None, 2)


def test_utterances_of_a_task_replace_the_published_ones() -> None:
    utterances = {"apple": ("one apple please",), "kiwi_fruit": ("kiwi fruit",)}
    assert verdict(asked("one apple, please!"), utterances=utterances) == ("apple", 1)
    assert verdict(asked("i want apple"), utterances=utterances) == (None, 1)


def test_strictness_is_settable() -> None:
    assert verdict(asked("i want apple"), "rule:name") == (None, 1)
    assert verdict(asked("apple"), "rule:name") == ("apple", 1)
    assert verdict(asked("well apple i think"), "rule:mention") == ("apple", 1)
    assert verdict(asked("apple or kiwi fruit"), "rule:mention") == (None, 1)
    assert verdict(asked("pineapple"), "rule:mention") == (None, 1)
    assert verdict(asked("a sweet potato", POTATOES), "rule:mention") == ("sweet_potato", 1)
    assert verdict(asked("the potato", POTATOES), "rule:mention") == ("potato", 1)
    with pytest.raises(RapportError, match="one of mention, pattern, name"):
        load_judge("rule:harsh")


def test_an_item_that_is_known_but_not_offered_is_not_taken_for_another() -> None:
    utterances = {name: (name,) for name in POTATOES}
    assert verdict(asked("a sweet potato", ("potato", "apple")), "rule:mention", utterances=utterances) == (None, 1)


def test_what_is_not_read_does_not_keep_requests_apart() -> None:
    judge = Cached(load_judge("rule"))
    assert judge.key(asked("apple", seed=1, prompt="a")) == judge.key(asked("apple", seed=2, prompt="b"))
    versions = {load_judge("rule").version, load_judge("rule:name").version, load_judge("rule", otherwise="stay").version}
    assert len(versions) == 3
