"""The app for emotions in conversations on a real Ray Serve."""

import asyncio
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from rapport.models.erc.model_config import EngineConfig, ScoringConfig
from rapport.ray_jobs.serve_app import deploy
from rapport.serve_apps.conversation_emotion.answers import AskedDialogue, Judged, Question
from rapport.serve_apps.conversation_emotion.engine import ConversationEngine
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.erc import Args, Batching
from rapport.serve_apps.http.settings import RequestLimits
from tests.serve_apps.conversation_emotion.tiny_models import write_models

PATH = "/v1/dialogues/emotions"
MAX_PENDING = 12
NAMES = ("", "one", "wider", "friends")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def dialogue(number: int) -> dict[str, list[dict[str, str]]]:
    said = ["Who finished the milk?", "It was empty, I swear.", f"{'Oh no! ' * (number + 1)}"]
    return {"turns": [{"speaker": "AB"[n % 2], "text": text} for n, text in enumerate(said)]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("erc"))


@pytest.fixture(scope="module")
def url(ray_cluster: dict[str, float], models: Path) -> Iterator[str]:
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    args = Args(
        model=str(models / "model"),
        adapters=str(models / "adapters"),
        engine=EngineConfig(device="cpu"),
        max_adapters=2,  # fewer than there are: they take turns
        endpoints=ConversationSettings(requests=RequestLimits(max_pending=MAX_PENDING, request_timeout_s=100), max_rationale_tokens=12),
        batching=Batching(max_batch_size=8, max_rationales=4, wait_s=0.02),
    )
    yield deploy("erc", args, port=port, log_level="ERROR").url
    serve.shutdown()


def ask_all(url: str, bodies: Sequence[Mapping[str, object]]) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=200, limits=httpx.Limits(max_connections=100)) as client:
            return await asyncio.gather(*(client.post(PATH, json=body) for body in bodies))

    return asyncio.run(main())


def test_a_crowd_for_many_adapters_gets_the_answers_of_each(url: str, models: Path) -> None:
    asked = [(name, number) for number in range(3) for name in NAMES]
    bodies: list[dict[str, object]] = [{"dialogues": [dialogue(n)], "model": f"coe:{name}" if name else "coe"} for name, n in asked]
    engine = ConversationEngine(
        str(models / "model"), adapters=str(models / "adapters"), engine=EngineConfig(device="cpu"), scoring=ScoringConfig()
    )
    for (name, number), response in zip(asked, ask_all(url, bodies), strict=True):
        assert response.status_code == 200, response.text
        lines = tuple((turn["speaker"], turn["text"]) for turn in dialogue(number)["turns"])
        question = Question((AskedDialogue(lines, turns=(0, 1, 2)),))
        wanted = engine.judge(engine.lines(question, engine.read(name) if name else engine.variant))
        for turn, judged in zip(response.json()["data"][0]["turns"], wanted, strict=True):
            assert isinstance(judged, Judged)
            assert turn["scores"] == pytest.approx(dict(judged.scores), abs=1e-4)


@pytest.mark.parametrize("model", ["coe", "coe:one"])
def test_reasons_stream_while_other_adapters_answer(url: str, model: str) -> None:
    body: dict[str, object] = {"dialogues": [dialogue(1)], "rationale": True, "model": model}
    (alone,) = ask_all(url, [body])
    asked: list[dict[str, object]] = [{"dialogues": [dialogue(2)], "model": f"coe:{name}"} for name in NAMES[1:]]
    streamed, *others = ask_all(url, [body | {"stream": True}, *asked])
    assert [response.status_code for response in (alone, streamed, *others)] == [200] * 5
    events = [json.loads(line.removeprefix("data: ")) for line in streamed.text.split("\n\n") if line.startswith("data: {")]
    told = {event["turn"]: event["rationale"] for event in events if "rationale" in event}
    assert told == {turn["turn"]: turn["rationale"] for turn in alone.json()["data"][0]["turns"]}
    assert sum("rationale_delta" in event for event in events) > 3
    assert events[-1]["usage"] == alone.json()["usage"]


def test_a_listener_that_leaves_gives_its_place_back(url: str) -> None:
    body = {"dialogues": [dialogue(0)], "rationale": True, "stream": True}
    for _ in range(MAX_PENDING + 2):
        with httpx.stream("POST", url + PATH, json=body, timeout=200) as response:
            assert response.status_code == 200
            next(response.iter_bytes())
    assert httpx.post(url + PATH, json={"dialogues": [dialogue(0)]}, timeout=200).status_code == 200


def test_what_cannot_be_asked_is_refused_and_the_server_goes_on(url: str) -> None:
    long = {"turns": [{"speaker": "A", "text": "0 1 2 3 4 5 6 7 8 9 " * 99}]}
    for stream in (False, True):
        response = httpx.post(url + PATH, json={"dialogues": [long], "stream": stream}, timeout=200)
        assert response.status_code == 400, response.text
        assert "dialogues.0.turns.0 cannot be asked about" in response.json()["error"]["message"]
    unknown = httpx.post(url + PATH, json={"dialogues": [dialogue(0)], "model": "coe:stranger"}, timeout=200)
    assert unknown.json()["error"]["code"] == "model_not_found"
    statuses = {response.status_code for response in ask_all(url, [{"dialogues": [dialogue(0)]}] * 3 * MAX_PENDING)}
    assert 200 in statuses
    assert statuses <= {200, 429}


def test_page_models_and_health_are_served(url: str) -> None:
    assert httpx.get(url).text.startswith("<!doctype html>")
    assert [card["id"] for card in httpx.get(f"{url}/v1/models").json()["data"]] == ["coe", "coe:friends", "coe:one", "coe:wider"]
    assert httpx.get(f"{url}/healthz", timeout=200).json()["model"] == "coe"
