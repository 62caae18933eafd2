"""The endpoint for emotions in conversations, in this process, with a tiny model."""

import asyncio
import hashlib
import json

import openai
import pytest

from rapport.core.conversations import LABELS
from rapport.core.errors import RapportError
from rapport.serve_apps.conversation_emotion.answers import AskedDialogue, Judged, NoService, Question
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.http.settings import RequestLimits
from tests.serve_apps.conversation_emotion.conftest import DIALOGUE, PERSONAS, TALK, InProcess

PATH = "/v1/dialogues/emotions"


def ask(client, *dialogues: object, **options: object):
    return client.post(PATH, json={"dialogues": list(dialogues), **options})


def events(response) -> list[dict]:
    lines = response.text.rstrip("\n").split("\n\n")
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_each_turn_gets_the_emotion_that_the_model_finds(client, engine) -> None:
    answer = ask(client, DIALOGUE, {"turns": TALK[:1]}).json()
    assert (answer["object"], answer["model"]) == ("list", "coe")
    assert [found["dialogue_id"] for found in answer["data"]] == ["moving", "1"]
    turns = answer["data"][0]["turns"]
    lines = tuple((turn["speaker"], turn["text"]) for turn in TALK)
    asked = Question((AskedDialogue(lines, PERSONAS, str(DIALOGUE["scene"]), (0, 1, 2)),))
    wanted = [item for item in engine.judge(engine.lines(asked, engine.variant)) if isinstance(item, Judged)]
    for turn, number, judged in zip(turns, range(3), wanted, strict=True):
        assert (turn["turn"], turn["speaker"]) == (number, lines[number][0])
        assert list(turn["scores"]) == list(LABELS["meld"])
        assert turn["scores"] == pytest.approx(dict(judged.scores), abs=1e-5)
        assert sum(turn["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert turn["emotion"] == max(turn["scores"], key=turn["scores"].__getitem__)
        assert turn["rationale"] is None
    assert answer["usage"]["completion_tokens"] == 0
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > 3 * 10


def test_the_shared_word_for_a_label_is_told(client) -> None:
    known = {"joyful": "happy", "surprise": "surprised", "fear": "fearful"}
    for turn in ask(client, DIALOGUE).json()["data"][0]["turns"]:
        assert turn["emotion_canonical"] == known.get(turn["emotion"], turn["emotion"])


def test_only_what_is_wanted_is_judged_and_nothing_is_known_of_what_comes_after(client) -> None:
    whole = ask(client, DIALOGUE).json()["data"][0]["turns"]
    (one,) = ask(client, DIALOGUE | {"turns_wanted": [1, 1]}).json()["data"][0]["turns"]
    short = ask(client, DIALOGUE | {"turns": TALK[:2]}).json()["data"][0]["turns"]
    for found, turn in ((one, 1), (short[0], 0), (short[1], 1)):
        assert found["turn"] == turn
        assert found["scores"] == pytest.approx(whole[turn]["scores"], abs=1e-5)
    assert ask(client, DIALOGUE | {"turns_wanted": []}).json()["data"][0]["turns"] == []


@pytest.mark.parametrize("clue", ["personas", "scene"])
def test_what_is_known_of_people_and_place_is_read(client, clue: str) -> None:
    without = {name: value for name, value in DIALOGUE.items() if name != clue}
    assert ask(client, DIALOGUE).json()["usage"]["prompt_tokens"] > ask(client, without).json()["usage"]["prompt_tokens"]


def test_reasons_come_when_asked_for_whole_or_in_pieces(client) -> None:
    whole = ask(client, DIALOGUE, rationale=True).json()
    turns = whole["data"][0]["turns"]
    assert all(isinstance(turn["rationale"], str) for turn in turns)
    assert all(turn["rationale_emotion"] in (None, *LABELS["meld"]) for turn in turns)
    assert whole["usage"]["completion_tokens"] > 0
    response = ask(client, DIALOGUE, rationale=True, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    *told, last = events(response)
    assert all(event["object"] == "dialogue.emotions.chunk" and event["model"] == "coe" for event in [*told, last])
    assert all(event["dialogue_id"] == "moving" for event in told)
    assert last["usage"] == whole["usage"]
    for turn in turns:
        mine = [event for event in told if event["turn"] == turn["turn"]]
        (result,) = (event["result"] for event in mine if "result" in event)
        assert result["scores"] == pytest.approx(turn["scores"], abs=1e-5)
        assert "".join(event.get("rationale_delta", "") for event in mine).strip().startswith(turn["rationale"])
        assert (mine[-1]["rationale"], mine[-1]["rationale_emotion"]) == (turn["rationale"], turn["rationale_emotion"])


def test_a_stream_without_reasons_tells_the_emotions(client) -> None:
    *told, last = events(ask(client, DIALOGUE, stream=True))
    assert [event["result"]["turn"] for event in told] == [0, 1, 2]
    assert set(last) == {"object", "model", "usage"}


def test_adapters_are_models_of_their_own(client, models) -> None:
    own = ask(client, DIALOGUE, model="coe").json()
    friends = ask(client, DIALOGUE, model="coe:friends").json()
    assert friends["model"] == "coe:friends"
    assert list(friends["data"][0]["turns"][0]["scores"]) == list(LABELS["emorynlp"])
    one = ask(client, DIALOGUE, model="coe:one").json()
    assert one["data"][0]["turns"][0]["scores"] != own["data"][0]["turns"][0]["scores"]
    assert ask(client, DIALOGUE, model="default").json() == own, "as it was before others took their turn"


@pytest.mark.parametrize("name", ["coe:stranger", "coe:", "coe:../model", "one", "gpt-4o", "coe:one:two", ""])
@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_named(client, name: str, stream: bool) -> None:
    response = ask(client, DIALOGUE, model=name, stream=stream)
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "not_found_error")
    assert "coe:friends, coe:one, coe:wider" in error["message"]


def test_models_are_listed_as_openai_does(client) -> None:
    stock = openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=client, max_retries=0)
    assert [model.id for model in stock.models.list()] == ["coe", "coe:friends", "coe:one", "coe:wider"]
    card = client.get("/v1/models/coe:friends").json()
    assert (card["parent"], card["corpus"], card["object"]) == ("coe", "emorynlp", "model")
    assert card["emotions"] == list(LABELS["emorynlp"])
    assert card["emotions_canonical"] == ["happy", "angry", "peaceful", "neutral", "sad", "powerful", "fearful"]
    assert client.get("/v1/models/default").json() == client.get("/v1/models/coe").json()
    assert client.get("/v1/models/coe:absent").json()["error"]["code"] == "model_not_found"


def dialogue(**changes: object) -> dict:
    return {"turns": TALK, **changes}


def said(text: str, speaker: str = "A") -> dict:
    return {"turns": [{"speaker": speaker, "text": text}]}


def bad_requests() -> dict[str, tuple[dict[str, object], str, str]]:
    long, first = "x" * 41, "dialogues.0.turns.0"
    return {
        "nothing": ({}, "dialogues", "invalid_request"),
        "no dialogues": ({"dialogues": []}, "dialogues", "invalid_request"),
        "no turns": ({"dialogues": [{"turns": []}]}, "dialogues.0.turns", "invalid_request"),
        "a text alone": ({"dialogues": ["hello"]}, "dialogues.0", "invalid_request"),
        "no speaker": ({"dialogues": [{"turns": [{"text": "x"}]}]}, "dialogues.0.turns.0.speaker", "invalid_request"),
        "a speaker without a name": (
            {"dialogues": [{"turns": [{"speaker": " >> ", "text": "x"}]}]},
            "dialogues.0.turns.0.speaker",
            "invalid_request",
        ),
        "an empty text": (
            {"dialogues": [dialogue(), said(" \n")]},
            "dialogues.1.turns.0.text",
            "invalid_request",
        ),
        "half a character": (
            {"dialogues": [{"turns": [{"speaker": "A", "text": "\ud800"}]}]},
            "dialogues.0.turns.0.text",
            "invalid_request",
        ),
        "a long text": ({"dialogues": [said(long)]}, f"{first}.text", "text_too_long"),
        "a long scene": ({"dialogues": [dialogue(scene=long)]}, "dialogues.0.scene", "text_too_long"),
        "a long persona": ({"dialogues": [dialogue(personas={"Nora": long})]}, "dialogues.0.personas", "text_too_long"),
        "many personas": ({"dialogues": [dialogue(personas={str(n): "x" for n in range(4)})]}, "dialogues.0.personas", "too_many_personas"),
        "many turns": ({"dialogues": [{"turns": TALK * 2}]}, "dialogues.0.turns", "too_many_turns"),
        "many dialogues": ({"dialogues": [dialogue(turns_wanted=[0])] * 4}, "dialogues", "too_many_dialogues"),
        "many turns in all": ({"dialogues": [dialogue()] * 3}, "dialogues", "too_many_turns"),
        "many reasons": ({"dialogues": [dialogue()] * 2, "rationale": True}, "rationale", "too_many_turns"),
        "a turn that is not there": ({"dialogues": [dialogue(turns_wanted=[3])]}, "dialogues.0.turns_wanted", "no_such_turn"),
        "a turn before the first": ({"dialogues": [dialogue(turns_wanted=[-1])]}, "dialogues.0.turns_wanted", "no_such_turn"),
        "perhaps": ({"dialogues": [dialogue()], "rationale": "perhaps"}, "rationale", "invalid_request"),
    }


TIGHT = ConversationSettings(max_dialogues=3, max_turns=5, max_wanted=8, max_personas=3, max_characters=40, max_rationales=4)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", bad_requests())
def test_wrong_requests_are_refused_by_name(client_of, case: str, stream: bool) -> None:
    body, param, code = bad_requests()[case]
    client = client_of(NoService(), TIGHT)  # whose answer would be 503
    response = client.post(PATH, content=json.dumps(body | {"stream": stream}), headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error"), error
    assert error["message"]


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'"x"', b"null", b"\xff\xfe", b'{"dialogues": NaN}'])
def test_bodies_that_are_no_request_are_refused(client, body: bytes) -> None:
    response = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_turn_that_the_model_has_no_room_for_is_refused_by_its_place(client_of, service) -> None:
    client = client_of(service, ConversationSettings(max_characters=10_000))
    for stream in (False, True):
        response = ask(client, {"turns": [*TALK, {"speaker": "Eli", "text": "no " * 3000}]}, stream=stream)
        told = response.json()["error"]["message"] if not stream else events(response)[-1]["error"]["message"]
        assert "dialogues.0.turns.3 cannot be asked about" in told
    assert ask(client, DIALOGUE).status_code == 200


class Broken(NoService):
    async def answer(self, question):
        raise RuntimeError("secret path /home/me")

    async def stream(self, question):
        raise RuntimeError("secret path /home/me")
        yield

    async def facts(self):
        raise RuntimeError("secret path /home/me")


def test_health_goes_through_the_model(client, client_of) -> None:
    healthy = client.get("/healthz").json()
    assert (healthy["status"], healthy["model"]) == ("ok", "coe")
    assert healthy["latency_ms"] > 0
    assert client_of(Broken()).get("/healthz").status_code == 503


@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_model_shows_nothing_of_itself(client_of, stream: bool) -> None:
    response = ask(client_of(Broken()), DIALOGUE, stream=stream)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error"]["type"] == "server_error"


def test_an_error_in_the_middle_of_a_stream_is_an_event(client_of, engine) -> None:
    class Failing(InProcess):
        async def stream(self, question):
            async for item in super().stream(question):
                yield item
                raise RapportError("no more of this")

    first, last = events(ask(client_of(Failing(engine)), DIALOGUE, stream=True))
    assert first["result"]["turn"] == 0
    assert last["error"]["message"] == "no more of this"


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_model_is_given_up(client_of, stream: bool) -> None:
    class Slow(NoService):
        async def answer(self, question):
            await asyncio.sleep(30)

        async def stream(self, question):
            await asyncio.sleep(30)
            yield

    client = client_of(Slow(), ConversationSettings(requests=RequestLimits(request_timeout_s=0.05)))
    response = ask(client, DIALOGUE, stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "timeout")
    assert response.headers["retry-after"] == "1"


def test_a_key_guards_all_but_the_pages(client_of, service) -> None:
    client = client_of(service, key_digest=hashlib.sha256(b"opensesame").hexdigest())
    assert ask(client, DIALOGUE).status_code == 401
    assert client.get("/v1/models").status_code == 401
    for open_path in ("/", "/docs", "/openapi.json", "/healthz", "/assets/conversation.js"):
        assert client.get(open_path).status_code == 200, open_path
    client.headers["Authorization"] = "Bearer opensesame"
    assert ask(client, DIALOGUE).status_code == 200
