"""The stock client understands every event, and is understood: names and fields are those of its own types."""

import base64
import json
from typing import Any, get_args

import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeSessionCreateResponse, realtime_client_event, realtime_server_event
from pydantic import BaseModel

from rapport.core.errors import RapportError
from rapport.serve_apps.realtime.client_events import read_event
from tests.serve_apps.realtime.conftest import Talk


def kinds_of(union: Any) -> dict[str, type[BaseModel]]:
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["type"].annotation)[0]: member for member in members}


SERVER = kinds_of(realtime_server_event.RealtimeServerEvent)
CLIENT = kinds_of(realtime_client_event.RealtimeClientEvent)


def unknown(value: Any, path: str = "") -> list[str]:
    """Fields that the client's types do not have; ours begin with `x_`."""
    found: list[str] = []
    if isinstance(value, BaseModel):
        found += [f"{path}.{name}" for name in value.model_extra or () if not name.startswith("x_")]
        for name in type(value).model_fields:
            found += unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            found += unknown(item, f"{path}[]")
    return found


@pytest.fixture(scope="module")
def events(speech) -> list[dict[str, Any]]:
    """All that a session says that does everything once."""
    import asyncio

    from rapport.serve_apps.realtime.settings import RealtimeSettings
    from tests.serve_apps.realtime.conftest import ALL, FakeParts

    async def main() -> list[dict[str, Any]]:
        t = Talk(FakeParts(), ALL, RealtimeSettings())
        t.session.begin()
        t.say("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": {"idle_timeout_ms": 5000}}}})
        await t.speak(speech(2.0))
        await t.until("response.done")
        t.now_s += 0.5
        t.parts.gate.clear()
        await t.speak(speech(1.0, seed=1))
        t.say("output_audio_buffer.clear")
        t.parts.gate.set()
        await t.settle(300)
        t.say("response.create", response={"output_modalities": ["text"], "max_output_tokens": 20})
        await t.settle(300)
        t.parts.broken = {"answer": RapportError("too long"), "transcribe": RapportError("no")}
        t.say("response.create")
        await t.settle(300)
        t.now_s += 40
        t.session.tick()
        await t.settle(300)
        t.say("input_audio_buffer.clear")
        t.say("nonsense", event_id="mine")
        t.say("session.update", session={"audio": {"input": {"turn_detection": None, "transcription": {"model": "asr"}}}})
        t.append(speech(1.0))
        t.say("input_audio_buffer.commit")
        await t.settle(300)
        item = t.of("input_audio_buffer.committed")[-1]["item_id"]
        t.say("conversation.item.retrieve", item_id=item)
        t.say("conversation.item.delete", item_id=item)
        await t.settle(300)
        await t.close()
        return t.events

    return asyncio.run(main())


def test_every_event_is_one_of_the_clients_types(events) -> None:
    for event in events:
        if event["type"].startswith("x_"):
            continue
        parsed = SERVER[event["type"]].model_validate(event)
        # What a session is told of is typed as what is asked for, which has no name and no end.
        assert not set(unknown(parsed)) - {".session.id", ".session.object", ".session.expires_at"}, event["type"]
        if event["type"].startswith("session."):
            RealtimeSessionCreateResponse.model_validate(event["session"])


def test_the_client_parses_every_event(events) -> None:
    for event in events:
        parsed: Any = AsyncRealtimeConnection.parse_event(object(), json.dumps(event))  # type: ignore[arg-type]
        assert parsed.type == event["type"]
        if not event["type"].startswith("x_"):
            assert isinstance(parsed, SERVER[event["type"]])
        elif event["type"] == "x_head_motion.delta":
            assert parsed.frames


def test_every_kind_of_event_was_seen(events) -> None:
    told = {event["type"] for event in events}
    # Of calls, tools and telephones, which are not served here, and of the names before the interface was settled.
    others = (
        "mcp",
        "function",
        "dtmf",
        "segment",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "conversation.item.created",
    )
    wanted = {kind for kind in SERVER if not any(other in kind for other in others)}
    assert told == wanted | {"x_emotion.delta", "x_head_motion.delta"}


AUDIO = base64.b64encode(bytes(48)).decode()
SAID: dict[str, dict[str, Any]] = {
    "session.update": {
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.4,
                        "prefix_padding_ms": 200,
                        "silence_duration_ms": 300,
                        "create_response": True,
                        "interrupt_response": True,
                        "idle_timeout_ms": 6000,
                    },
                    "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                    "noise_reduction": {"type": "near_field"},
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
            },
        }
    },
    "input_audio_buffer.append": {"audio": AUDIO},
    "input_audio_buffer.commit": {},
    "input_audio_buffer.clear": {},
    "output_audio_buffer.clear": {},
    "conversation.item.create": {
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": AUDIO}]},
        "previous_item_id": "root",
    },
    "conversation.item.delete": {"item_id": "item_1"},
    "conversation.item.retrieve": {"item_id": "item_1"},
    "conversation.item.truncate": {"item_id": "item_1", "content_index": 0, "audio_end_ms": 100},
    "response.create": {
        "response": {"output_modalities": ["text"], "max_output_tokens": 50, "metadata": {"a": "b"}, "conversation": "none"}
    },
    "response.cancel": {"response_id": "resp_1"},
}


@pytest.mark.parametrize("kind", sorted(CLIENT))
def test_everything_the_client_may_say_is_understood(kind: str) -> None:
    event = CLIENT[kind].model_validate({"type": kind, "event_id": "mine", **SAID[kind]})
    said = event.to_json(use_api_names=True, exclude_unset=True)  # type: ignore[attr-defined]  # as the client sends it
    read = read_event(said)
    assert (read.type, read.event_id) == (kind, "mine")
