"""The head motion endpoints, in this process, with a small model."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from rapport.core.audio import from_pcm16, load_speech
from rapport.core.errors import RapportError
from rapport.core.pose import resample
from rapport.models.listener.config import ListenerConfig
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import save_pretrained
from rapport.serve_apps.listener.api import STREAM, build_api
from rapport.serve_apps.listener.engine import MotionEngine
from rapport.serve_apps.listener.settings import MotionSettings, StreamSettings

PATH = "/v1/audio/head-motion"
# The test client calls any other server "testserver", which is not this computer.
SOCKET = f"ws://127.0.0.1{STREAM}"


def client_of(model, stream: StreamSettings | None = None, **options: Any) -> TestClient:
    settings = MotionSettings(stream=stream or StreamSettings())
    return TestClient(build_api(MotionEngine(str(model), settings.stream), settings, **options), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client(listener_model) -> Iterator[TestClient]:
    with client_of(listener_model) as client:  # one event loop for all requests, as a server has
        yield client


def upload(client: TestClient, data: bytes, **form: object):
    return client.post(PATH, files={"file": ("clip.wav", data)}, data=form)


def angles(answer: dict[str, Any]) -> np.ndarray:
    return np.array([list(frame.values()) for frame in answer["frames"]]).reshape(-1, 4)


# ---- recordings --------------------------------------------------------------------------------------------------------------------------


def test_a_recording_gets_the_motion_of_the_model(client, motion_model, voice, wav) -> None:
    data = wav(voice(2.0))
    answer = upload(client, data).json()
    expected = motion_model.predict(load_speech(data).samples)
    assert np.abs(angles(answer)[:, 1:] - expected).max() < 1e-5
    assert np.allclose(angles(answer)[:, 0], (np.arange(60) + 1) / 30, atol=1e-6)
    assert {name: answer[name] for name in ("model", "rate_hz", "duration_s", "seed")} == {
        "model": "listener",
        "rate_hz": 30,
        "duration_s": 2,
        "seed": None,
    }


def test_rate_seed_and_format_can_be_chosen(client, motion_model, voice, wav) -> None:
    data = wav(voice(1.0))
    drawn = motion_model.predict(load_speech(data).samples, seed=4)
    quick = angles(upload(client, data, rate_hz=60, seed=4).json())
    assert len(quick) == 60
    expected = resample((np.arange(30) + 1) / 30, drawn, (np.arange(60) + 1) / 60)
    assert np.abs(quick[:, 1:] - expected).max() < 1e-5
    response = upload(client, data, seed=4, response_format="csv")
    assert response.headers["content-type"].startswith("text/csv")
    head, *lines = response.text.splitlines()
    assert head == "time_s,roll,pitch,yaw"
    table = np.array([[float(x) for x in line.split(",")] for line in lines])
    assert np.abs(table[:, 1:] - drawn).max() < 1e-5


@pytest.mark.parametrize("form", [{"rate_hz": 61}, {"rate_hz": "x"}, {"seed": -1}, {"seed": 2**64}, {"response_format": "xml"}])
def test_fields_that_cannot_be_are_refused_by_name(client, voice, wav, form) -> None:
    response = upload(client, wav(voice(0.3)), **form)
    assert response.status_code == 400
    assert response.json()["error"]["param"] in form


def test_what_is_no_recording_is_refused(client) -> None:
    assert upload(client, b"a letter, not a voice " * 20).json()["error"]["code"] == "audio_not_audio"
    assert upload(client, b"").json()["error"]["code"] == "audio_empty"
    assert client.post(PATH).status_code == 400
    assert upload(client, b"x", model="gpt").status_code == 404


def test_models_health_page_and_reference_are_there(client) -> None:
    (card,) = client.get("/v1/models").json()["data"]
    assert (card["id"], card["rate_hz"], card["streams"], card["draws"]) == ("listener", 30, True, True)
    assert card["latency_s"] > 2 / 30
    assert client.get("/v1/models/listener").json() == card
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/").text.startswith("<!doctype html>")
    assert client.get("/assets/head.json").json()["parts"]
    assert client.get(STREAM).json()["error"]["code"] == "upgrade_required"


def test_a_model_for_recordings_alone_says_so(tmp_path, voice, wav) -> None:
    config = ListenerConfig.model_validate({"front_end": {"kind": "mfcc"}, "head": {"kind": "point"}, "network": {"kind": "faithful"}})
    save_pretrained(HeadMotionModel(config), tmp_path / "model")
    client = client_of(tmp_path / "model")
    assert len(upload(client, wav(voice(1.0))).json()["frames"]) == 30
    assert upload(client, wav(voice(1.0)), seed=1).json()["error"]["param"] == "seed"
    with client.websocket_connect(SOCKET) as socket:
        assert socket.receive_json()["error"]["code"] == "model_does_not_stream"
        assert socket.receive()["type"] == "websocket.close"


# ---- streams -----------------------------------------------------------------------------------------------------------------------------


def stream(client: TestClient, pieces: list[bytes], headers: dict[str, str] | None = None, **start: Any) -> list[dict[str, Any]]:
    """All messages of a stream of these pieces, to its end."""
    messages = []
    with client.websocket_connect(SOCKET, headers=headers or {}) as socket:
        socket.send_text(json.dumps({"type": "start", **start}))
        messages.append(socket.receive_json())
        for piece in pieces:
            socket.send_bytes(piece)
        socket.send_text('{"type": "finish"}')
        while messages[-1]["type"] not in ("finished", "error"):
            messages.append(socket.receive_json())
        closed = socket.receive()
        assert closed["type"] == "websocket.close"
        messages.append(closed)
    return messages


def poses(messages: list[dict[str, Any]]) -> np.ndarray:
    return np.concatenate([angles(m) for m in messages if m["type"] == "poses"])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [7, 640, 32_000])
def test_a_stream_gives_what_the_recording_gives(client, motion_model, pcm, size: int) -> None:
    data = pcm(0.1 if size < 10 else 0.9)
    messages = stream(client, cut(data, size))
    assert messages[0] | {"latency_s": 0} == {
        "type": "started",
        "model": "listener",
        "sample_rate_hz": 16_000,
        "rate_hz": 30,
        "rotations": ["roll", "pitch", "yaw"],
        "seed": None,
        "latency_s": 0,
        "samples": 0,
        "time_s": 0,
    }
    assert np.abs(poses(messages)[:, 1:] - motion_model.predict(from_pcm16(data))).max() < 1e-5
    assert messages[-2]["samples"] == len(data) // 2
    assert messages[-1]["code"] == 1000


def test_a_client_that_comes_back_with_its_token_goes_on(client, motion_model, pcm) -> None:
    data = pcm(0.8, 5)
    with client.websocket_connect(SOCKET) as socket:
        socket.send_text('{"type": "start", "seed": 9}')
        socket.receive_json()
        first = []
        for piece in cut(data[: len(data) // 2], 640):
            socket.send_bytes(piece)
        socket.send_text('{"type": "state"}')
        while (message := socket.receive_json())["type"] != "state":
            first.append(message)
        # Of the audio that was sent, the token may not know all: it says from where to go on. What comes after it is not of interest.
        socket.send_text('{"type": "finish"}')
        while socket.receive()["type"] != "websocket.close":
            pass
    rest = stream(client, cut(data[2 * message["samples"] :], 640), token=message["token"])
    assert rest[0]["seed"] == 9
    assert rest[0]["samples"] == message["samples"]
    found = np.concatenate([poses([*first, *rest])])
    assert np.abs(found[:, 1:] - motion_model.predict(from_pcm16(data), seed=9)).max() < 1e-5


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type": "start", "rate_hz": 10}', "invalid_message"),
        ('{"type": "start", "token": "abc"}', "cannot_stream"),
        ("no json", "invalid_message"),
        (b"\0\0", "invalid_message"),
        (b"\0" * 5_000_000, "request_too_large"),
    ],
)
def test_a_beginning_that_cannot_be_is_told_and_closed(client, first: str | bytes, code: str) -> None:
    with client.websocket_connect(SOCKET) as socket:
        socket.send_text(first) if isinstance(first, str) else socket.send_bytes(first)
        message = socket.receive_json()
        assert (message["type"], message["error"]["code"]) == ("error", code)
        assert socket.receive()["code"] == 1008
    assert stream(client, [])[-1]["code"] == 1000, "the server goes on"


def test_one_client_too_many_is_told_when_to_come_back(listener_model) -> None:
    with client_of(listener_model, StreamSettings(max_sessions=1)) as client:
        with client.websocket_connect(SOCKET) as first:
            first.send_text('{"type": "start"}')
            first.receive_json()
            with client.websocket_connect(SOCKET) as second:
                message = second.receive_json()
                assert message["error"]["type"] == "rate_limit_error"
                assert message["retry_after_s"] >= 1
                assert second.receive()["code"] == 1013
            first.send_text('{"type": "finish"}')
            assert first.receive_json()["type"] == "finished"
            first.receive()
        assert stream(client, [])[-1]["code"] == 1000, "its place is free again"


def test_a_model_whose_tokens_are_longer_than_a_message_is_not_loaded(listener_model) -> None:
    with pytest.raises(RapportError, match=r"resume tokens of this model .*max_message_mib is 0\.01: set it to 0\.\d+ or more") as caught:
        MotionEngine(str(listener_model), StreamSettings(max_message_mib=0.01))
    wanted = float(str(caught.value).split("set it to ")[1].split()[0])
    MotionEngine(str(listener_model), StreamSettings(max_message_mib=wanted))


def test_who_says_nothing_loses_the_place(listener_model) -> None:
    with client_of(listener_model, StreamSettings(max_sessions=1, gone_after_s=0.5)) as client:
        for start in ("", '{"type": "start"}'):
            with client.websocket_connect(SOCKET) as socket:
                if start:
                    socket.send_text(start)
                    socket.receive_json()
                message = socket.receive_json()
                assert message["error"]["code"] == "request_timeout"
                assert socket.receive()["type"] == "websocket.close"


def test_a_ping_is_answered_and_nonsense_is_not(client) -> None:
    with client.websocket_connect(SOCKET) as socket:
        socket.send_text('{"type": "start", "sample_rate_hz": 48000, "rate_hz": 60}')
        assert socket.receive_json()["sample_rate_hz"] == 48_000
        socket.send_text('{"type": "ping"}')
        assert socket.receive_json() == {"type": "pong"}
        socket.send_text('{"type": "dance"}')
        assert socket.receive_json()["error"]["code"] == "invalid_message"


def test_pages_of_other_sites_may_not_connect(client) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers={"Origin": "http://elsewhere.example"}):
        pass
    assert stream(client, [], headers={"Origin": "http://127.0.0.1"})[-1]["code"] == 1000


def test_a_key_opens_the_stream_as_a_header_or_as_a_subprotocol(listener_model) -> None:
    client = client_of(listener_model, key_digest=hashlib.sha256(b"opensesame").hexdigest())
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET):
        pass
    assert stream(client, [], headers={"Authorization": "Bearer opensesame"})[-1]["code"] == 1000
    with client.websocket_connect(SOCKET, subprotocols=["rapport", "openai-insecure-api-key.opensesame"]) as socket:
        assert socket.accepted_subprotocol == "rapport"
        socket.send_text("nonsense")
        assert socket.receive_json()["type"] == "error"
