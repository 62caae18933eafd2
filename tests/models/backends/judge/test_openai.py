"""A judge behind an endpoint, here a stand-in on this computer: what it is asked, and what becomes of its troubles."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rapport.core.errors import RapportError
from rapport.models.backends.judge._schema import reply_schema
from rapport.models.backends.judge.openai import OpenAiJudge
from rapport.models.backends.judges import OpenAiJudgeConfig, load_judge
from rapport.simulator.requests import Failure
from tests.models.backends.judge.asked import asked
from tests.models.backends.judge.endpoint import Answer, Endpoint, open_endpoint, said

KEY = "sk-a-key-that-nobody-may-see"


def refused(status: int, message: str) -> Answer:
    return status, {"error": {"message": message, "type": "invalid_request_error"}}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    # The client waits half a second before it asks again.
    monkeypatch.setattr("openai._base_client.BaseClient._calculate_retry_timeout", lambda *args, **kwargs: 0.0)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with open_endpoint() as found:
        yield found


def judge(endpoint: Endpoint, **settings: Any) -> OpenAiJudge:
    found = load_judge("openai:m", config=OpenAiJudgeConfig(base_url=endpoint.url, **settings))
    assert isinstance(found, OpenAiJudge)
    return found


def test_prompt_transcript_and_schema_are_sent_and_replies_come_in_order(endpoint: Endpoint) -> None:
    requests = [asked(f"number {i}") for i in range(20)]
    assert judge(endpoint).batch(requests) == [f"number {i}" for i in range(20)]
    question = next(q for q in endpoint.asked if q["messages"][1]["content"] == "number 3")
    assert question["messages"] == [{"role": "system", "content": requests[3].prompt}, {"role": "user", "content": "number 3"}]
    assert (question["model"], question["temperature"], question["max_tokens"], "seed" in question) == ("m", 0, 150, False)
    assert question["response_format"]["json_schema"]["schema"] == reply_schema(requests[3], 200)
    assert set(endpoint.keys) == {f"Bearer {KEY}"}


def test_a_judge_that_draws_sends_each_seed_and_is_not_kept(endpoint: Endpoint) -> None:
    drawing = judge(endpoint, temperature=0.5, constrained=False)
    drawing.batch([asked("apple", seed=seed) for seed in (5, 6)])
    assert sorted(question["seed"] for question in endpoint.asked) == [5, 6]
    assert all("response_format" not in question for question in endpoint.asked)
    assert not drawing.deterministic
    assert judge(endpoint).deterministic
    assert (drawing.unread, judge(endpoint).unread) == ((), ("seed",))


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    troubles = iter([refused(429, "slow down"), refused(500, "oh"), (200, said("fine"))])
    endpoint.answer = lambda question: next(troubles)
    assert judge(endpoint).batch([asked("apple")]) == ["fine"]


def test_a_request_that_stays_unanswered_fails_alone(endpoint: Endpoint) -> None:
    def answer(question: dict[str, Any]) -> Answer:
        text = question["messages"][1]["content"]
        return refused(503, "overloaded") if text == "bad" else (200, said(text))

    endpoint.answer = answer
    good, bad = judge(endpoint, retries=1).batch([asked("good"), asked("bad")])
    assert good == "good"
    assert isinstance(bad, Failure)
    assert (bad.service, "overloaded" in bad.reason) == ("judge", True)
    assert len(endpoint.asked) == 3


def test_an_endpoint_that_is_not_there_is_a_failure() -> None:
    (result,) = load_judge("openai:m", config=OpenAiJudgeConfig(base_url="http://127.0.0.1:9/v1", retries=0)).batch([asked("x")])
    assert isinstance(result, Failure)


def test_no_words_are_an_empty_reply(endpoint: Endpoint) -> None:
    endpoint.answer = lambda question: (200, said(None))
    assert judge(endpoint).batch([asked("x")]) == [""]


def test_the_key_is_never_shown(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    endpoint.answer = lambda question: refused(401, f"Incorrect API key provided: {KEY}")
    asking = judge(endpoint)
    with pytest.raises(RapportError, match="refuses the key in OPENAI_API_KEY") as error:
        asking.batch([asked("x")])
    assert error.value.__cause__ is None
    assert KEY not in str(error.value) + asking.version + repr(asking) + caplog.text


def test_what_the_endpoint_refuses_is_told(endpoint: Endpoint) -> None:
    endpoint.answer = lambda question: refused(400, "json_schema is not supported")
    with pytest.raises(RapportError, match=r"openai\.constrained false") as error:
        judge(endpoint).batch([asked("x")])
    assert "json_schema is not supported" in str(error.value)


def test_a_key_is_needed_for_openai_and_not_for_a_server_of_ones_own(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert judge(endpoint).batch([asked("x")]) == ["x"]
    with pytest.raises(RapportError, match="a key in the variable OPENAI_API_KEY"):
        load_judge("openai:m")
    with pytest.raises(RapportError, match="openai:<model>"):
        load_judge("openai")


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(RapportError, match=r"pip install 'rapport\[openai\]'"):
        load_judge("openai:m")


def test_versions_tell_model_address_and_settings(endpoint: Endpoint) -> None:
    first = judge(endpoint).version
    assert first == judge(endpoint, timeout_s=1, at_once=2).version
    assert first != judge(endpoint, temperature=0.1).version
    assert first != load_judge("openai:n", config=OpenAiJudgeConfig(base_url=endpoint.url)).version
