"""The companion's interface in this process, with small models and the stock client's shapes."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from rapport.serve_apps.live_dialogue.api import REALTIME
from rapport.serve_apps.live_dialogue.deployments import deployed
from rapport.serve_apps.live_dialogue.graph import Services
from rapport.serve_apps.live_dialogue.settings import LiveSettings
from rapport.serve_apps.realtime.settings import RealtimeSettings
from tests.serve_apps.spoken_dialogue.conftest import HEARD, SAID

KEY = "opensesame"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
# The test client calls any other server "testserver", which is not this computer.
SOCKET = f"ws://127.0.0.1{REALTIME}"


def told(socket: Any, kind: str) -> list[dict[str, Any]]:
    """All events up to one of this kind."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(socket.receive_text()))
    return events


def say(socket: Any, kind: str, **fields: Any) -> None:
    socket.send_text(json.dumps({"type": kind, **fields}))


def append(socket: Any, pcm: bytes) -> None:
    for start in range(0, len(pcm), 4_800):
        say(socket, "input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + 4_800]).decode())


def test_who_speaks_is_heard_and_answered(services: Services, client_of, pcm24) -> None:
    with client_of(services) as client, client.websocket_connect(SOCKET) as socket:
        append(socket, pcm24(2.0, 0.8))
        events = told(socket, "response.done")
        done = events[-1]["response"]
        assert (done["status"], done["metadata"]["x_emotion_user"]) == ("completed", "sad")
        assert done["output"][0]["content"][0]["transcript"] == SAID
        assert [e["transcript"] for e in events if e["type"].endswith("transcription.completed")] == [HEARD]
        assert {e["model"] for e in events if e["type"] == "x_emotion.delta"} == {"ser", "emosds"}
        sound = b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")
        assert len(sound) > 48_000
        events += told(socket, "x_head_motion.delta")
        assert any(len(e["frames"]) for e in events if e["type"] == "x_head_motion.delta")


def test_places_are_counted_and_free_again(services: Services, client_of) -> None:
    settings = LiveSettings(realtime=RealtimeSettings(max_sessions=1))
    with client_of(services, settings) as client:
        for _ in range(2):
            with client.websocket_connect(SOCKET) as first:
                told(first, "session.created")
                with client.websocket_connect(SOCKET) as second:
                    assert json.loads(second.receive_text())["error"]["code"] == "server_busy"
                    with pytest.raises(WebSocketDisconnect) as closed:
                        second.receive_text()
                    assert closed.value.code == 1013


@pytest.mark.parametrize(("model", "code"), [("default", None), ("gpt-realtime", None), ("emosds", None), ("llama", "model_not_found")])
def test_the_model_is_named_in_the_address(services: Services, client_of, model: str, code: str | None) -> None:
    with client_of(services) as client, client.websocket_connect(f"{SOCKET}?model={model}") as socket:
        first = json.loads(socket.receive_text())
        if code:
            assert (first["type"], first["error"]["code"]) == ("error", code)
        else:
            assert first["session"]["model"] == "emosds"


@pytest.mark.parametrize(
    ("headers", "subprotocols", "status"),
    [
        ({}, None, 401),
        ({"Authorization": "Bearer wrong"}, None, 401),
        ({"Authorization": f"Bearer {KEY}"}, None, 101),
        ({"Authorization": f"Bearer {KEY}", "Origin": "http://elsewhere.example"}, None, 101),
        ({}, ["realtime", f"openai-insecure-api-key.{KEY}"], 101),
        ({}, ["realtime", "openai-insecure-api-key.wrong"], 401),
    ],
)
def test_a_key_is_asked_for(services: Services, client_of, headers: dict[str, str], subprotocols: list[str] | None, status: int) -> None:
    client = client_of(services, key_digest=DIGEST)
    if status == 101:
        with client.websocket_connect(SOCKET, headers=headers, subprotocols=subprotocols) as socket:
            assert socket.accepted_subprotocol == (subprotocols and "realtime")
            assert json.loads(socket.receive_text())["type"] == "session.created"
        return
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect(SOCKET, headers=headers, subprotocols=subprotocols):
        pass
    assert refused.value.status_code == 401
    assert refused.value.json()["error"]["code"] == "invalid_api_key"


def test_pages_of_other_sites_are_refused(services: Services, client_of) -> None:
    client = client_of(services)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers={"Origin": "http://elsewhere.example"}):
        pass
    with client.websocket_connect(SOCKET, headers={"Origin": "http://127.0.0.1"}) as socket:
        assert json.loads(socket.receive_text())["type"] == "session.created"


def test_who_asks_without_a_websocket_is_told_to_upgrade(services: Services, client_of) -> None:
    answer = client_of(services).get(REALTIME)
    assert (answer.status_code, answer.json()["error"]["code"]) == (426, "upgrade_required")


def test_the_session_lives_on_after_messages_that_cannot_be_read(services: Services, client_of) -> None:
    settings = LiveSettings(realtime=RealtimeSettings(max_message_mib=0.1))
    with client_of(services, settings) as client, client.websocket_connect(SOCKET) as socket:
        socket.send_bytes(b"\x00")
        socket.send_text("a" * 200_000)
        socket.send_text("\ud800")
        say(socket, "input_audio_buffer.clear", event_id="mine")
        codes = [e["error"]["code"] for e in told(socket, "input_audio_buffer.cleared") if e["type"] == "error"]
        assert codes == ["invalid_event", "message_too_large", "invalid_json"]


def test_every_model_is_listed_and_every_part_is_healthy(services: Services, client_of) -> None:
    with client_of(services) as client:
        cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
        assert list(cards) == ["emosds", "tts", "asr", "ser", "listener"]
        assert cards["listener"]["rate_hz"] == 30
        assert "alloy" in cards["tts"]["voices"]
        health = client.get("/healthz").json()
        assert set(health["parts"]) == {"emotion", "dialogue", "voice", "transcriber", "head_motion"}


def test_endpoints_of_all_apps_answer(services: Services, client_of, voice, wav) -> None:
    clip = wav(voice(1.0))
    with client_of(services) as client:
        assert client.post("/v1/audio/emotions", files={"file": clip}).json()["model"] == "ser"
        assert client.post("/inference", files={"audio": clip}).status_code == 200
        assert len(client.post("/v1/audio/head-motion", files={"file": clip}).json()["frames"]) == 30
        assert client.post("/v1/audio/transcriptions", files={"file": clip}).json()["text"] == HEARD
        assert client.post("/v1/audio/speech", json={"input": "Hello."}).content


def test_a_part_that_is_not_there_says_so_and_the_rest_works(client_of: Callable[..., TestClient], wav, voice) -> None:
    nobody = deployed(dict.fromkeys(("emotion", "dialogue", "voice", "transcriber", "head_motion", "conversations")))
    clip = wav(voice(1.0))
    asked: dict[str, Any] = {
        "/v1/audio/emotions": {"files": {"file": clip}},
        "/v1/audio/head-motion": {"files": {"file": clip}},
        "/v1/audio/transcriptions": {"files": {"file": clip}},
        "/v1/audio/speech": {"json": {"input": "Hello."}},
        "/v1/chat/completions": {"json": {"messages": [{"role": "user", "content": "Hello."}]}},
        "/v1/dialogues/emotions": {"json": {"dialogues": [{"turns": [{"speaker": "A", "text": "Hm."}]}]}},
    }
    with client_of(nobody) as client:
        for path, request in asked.items():
            answer = client.post(path, **request)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found"), path
        assert client.get("/v1/models").json()["data"] == []
        assert client.get("/healthz").json()["parts"] == {}
        with client.websocket_connect(SOCKET) as socket:
            parts = told(socket, "session.created")[-1]["session"]["x_parts"]
            assert not any(parts.values())
