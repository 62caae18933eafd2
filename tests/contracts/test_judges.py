"""What every judge in models/backends/judge keeps to. A new file there is covered the day it lands."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from rapport.core import plugins
from rapport.models.backends.judges import LlmJudgeConfig, OpenAiJudgeConfig, load_judge
from rapport.models.backends.llm.config import EmbeddedLlamaConfig
from rapport.models.backends.llm.embedded import write_embedded
from rapport.simulator.cache import Cached
from rapport.simulator.requests import JudgeRequest, Service
from rapport.simulator.verdict import read_verdict
from tests.models.backends.judge.asked import asked
from tests.models.backends.judge.endpoint import Endpoint, open_endpoint, said

NAMES = plugins.available("models.backends.judge")
TURNS = (
    asked("i want apple"),
    asked(""),
    asked("blub"),
    asked("", offered=(), moves=()),
    asked("take me there", offered=('soup "du jour"', "crème_brûlée"), moves=((12, "Menu"), (3, "Stop"))),
)


def load(name: str, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Service[JudgeRequest]:
    """A judge as settings would name it, with what it needs made here."""
    if name == "llm":
        sizes = EmbeddedLlamaConfig(hidden=32, layers=2, heads=2, mlp=32, vocabulary=320, initializer_range=0.35)
        folder = write_embedded(
            tmp_path_factory.mktemp("judge"), ['{"response_text": "Here.", "item_name": null}', "You are a clerk."] * 3, sizes
        )
        return load_judge(f"llm:{folder}", config=LlmJudgeConfig(max_new_tokens=300, longest_text=30))
    if name == "openai":
        if find_spec("openai") is None:
            pytest.skip("openai is not installed")
        endpoint: Endpoint = stack.enter_context(open_endpoint())
        nothing = {"response_text": "hm", "next_scene_id": None, "next_scene_reason": None, "item_name": None}
        endpoint.answer = lambda question: (200, said(json.dumps(nothing)))
        return load_judge("openai:m", config=OpenAiJudgeConfig(base_url=endpoint.url, key_variable="NO_KEY_IS_NEEDED_HERE"))
    return load_judge(name)


@pytest.fixture(scope="module", params=NAMES)
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service[JudgeRequest]]:
    with ExitStack() as stack:
        yield load(request.param, stack, tmp_path_factory)


def test_every_reply_is_a_verdict_that_the_turn_allows(judge: Service[JudgeRequest]) -> None:
    replies = judge.batch(TURNS)
    assert len(replies) == len(TURNS)
    for request, reply in zip(TURNS, replies, strict=True):
        verdict = read_verdict(str(reply))
        assert verdict.problem is None
        assert verdict.response_text
        assert verdict.item_name in {*request.offered, None}
        assert verdict.next_scene_id in {*(identity for identity, _ in request.moves), None}


def test_a_reply_does_not_depend_on_company_or_order(judge: Service[JudgeRequest]) -> None:
    together = judge.batch(TURNS)
    assert together[::-1] == judge.batch(TURNS[::-1])
    assert together == [judge.batch([turn])[0] for turn in TURNS]
    assert judge.batch([]) == []


def test_the_version_is_text_that_stays(judge: Service[JudgeRequest]) -> None:
    before = judge.version
    judge.batch(TURNS[:1])
    assert isinstance(before, str)
    assert before == judge.version != ""


def test_what_a_judge_says_it_does_not_read_changes_nothing(judge: Service[JudgeRequest]) -> None:
    other: dict[str, Any] = {"seed": 99, "prompt": "Another prompt altogether."}
    unread = {name: value for name, value in other.items() if name in getattr(judge, "unread", ())}
    assert judge.batch([replace(turn, **unread) for turn in TURNS]) == judge.batch(TURNS)


def test_replies_are_kept_where_they_would_come_again(judge: Service[JudgeRequest]) -> None:
    cached = Cached(judge)
    assert judge.deterministic
    assert cached.batch(TURNS) == cached.batch(TURNS)
    assert cached.stats.answered == len(TURNS)
