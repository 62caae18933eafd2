"""Messages that nobody would send, to a server that runs: it answers or refuses each, and those who talk beside it notice nothing."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from rapport.serve_apps.live_dialogue.graph import Services
from tests.serve_apps.live_dialogue.conftest import on_a_socket
from tests.serve_apps.realtime.test_mutations import mutated
from tests.serve_apps.spoken_dialogue.conftest import HEARD

COUNT, AT_ONCE = 1_000, 25
SILENT = {"type": "session.update", "session": {"type": "realtime", "x_head_motion": None, "output_modalities": ["text"]}}


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    with on_a_socket(services) as address:
        yield f"{address.replace('http', 'ws')}/v1/realtime"


def event(client: ClientConnection, kind: str, timeout_s: float = 30) -> dict[str, Any]:
    """The next event of a kind."""
    while True:
        told: dict[str, Any] = json.loads(client.recv(timeout_s))
        if told["type"] == kind:
            return told


def test_mutated_messages_end_no_session_but_their_own(url: str, pcm24: Callable[..., bytes]) -> None:
    draw, refused, sent = random.Random(11), 0, 0
    endings: list[Any] = []
    voice = base64.b64encode(pcm24(1.2, 0.8)).decode()
    with connect(url) as other:
        event(other, "session.created")
        while sent < COUNT:
            with connect(url) as client:
                event(client, "session.created")
                try:
                    while sent < COUNT:
                        for _ in range(AT_ONCE):
                            client.send(mutated(draw).encode("utf-8", "replace").decode())
                        client.send('{"type": "conversation.item.retrieve", "event_id": "asked", "item_id": "nobody"}')
                        sent += AT_ONCE
                        while (told := event(client, "error"))["error"]["event_id"] != "asked":
                            assert told["error"]["type"] in ("invalid_request_error", "rate_limit_error", "server_error"), told
                            assert "Traceback" not in told["error"]["message"]
                            refused += 1
                except ConnectionClosed as closed:
                    endings.append(closed.rcvd and closed.rcvd.code)
        assert refused > COUNT / 10, "most of them make no sense"
        assert set(endings) <= {1008, 1009}, "a session may be ended for what it does, never by an accident of the server"
        other.send(json.dumps(SILENT))
        heard: list[dict[str, Any]] = []
        other.send(json.dumps({"type": "input_audio_buffer.append", "audio": voice}))
        while not heard or heard[-1]["type"] != "response.done":
            heard.append(json.loads(other.recv(30)))
        done = heard[-1]["response"]
        assert (done["status"], done["metadata"]["x_emotion_user"]) == ("completed", "sad")
        items = {told["item"]["id"] for told in heard if told["type"] == "conversation.item.added"}
        assert len(items) == 2, "what the others have put into their conversations is not in this one"
        assert [told["transcript"] for told in heard if told["type"].endswith("transcription.completed")] == [HEARD]
    with httpx.Client(base_url=url.replace("ws", "http", 1).removesuffix("/v1/realtime"), timeout=60) as client:
        assert client.get("/v1/models").status_code == 200
