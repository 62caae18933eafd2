"""Ten thousand messages that nobody would send: none ends the session, none raises, nothing grows, and no session hears of another."""

import asyncio
import copy
import json
import random
from typing import Any

from rapport.serve_apps.realtime.settings import RealtimeSettings
from tests.serve_apps.realtime.conftest import ALL, FakeParts, Talk
from tests.serve_apps.realtime.test_openai_types import SAID

COUNT = 10_000
STRINGS = ["", "\x00", "\ud7ff", "𝄞" * 50, "A" * 5000, "AAAA", "root"]
ODD: list[Any] = [None, True, -1, 0, 2**63, 10**300, 1e308, *STRINGS, [], [[]] * 20, {}, {"type": {}}]


def mutated(draw: random.Random) -> str:
    """A message like one that makes sense."""
    kind = draw.choice(sorted(SAID))
    value: dict[str, Any] = json.loads(json.dumps({"type": kind, "event_id": "mine", **SAID[kind]}))
    for _ in range(draw.randrange(4)):
        _change(draw, value)
    text = json.dumps(value)
    if draw.random() < 0.2:
        place = draw.randrange(len(text))
        text = text[:place] + draw.choice(["", "\\", '"', "}", "[" * 300, "\ud800", "\u2028", text]) + text[place + draw.randrange(3) :]
    return text


def _change(draw: random.Random, value: Any) -> None:
    """Change something somewhere inside."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys:
        return
    key = draw.choice(keys)
    if isinstance(value[key], dict | list) and draw.random() < 0.7:
        _change(draw, value[key])
    elif draw.random() < 0.2:
        del value[key]
    else:
        value[key] = copy.deepcopy(draw.choice(ODD))


def test_ten_thousand_mutated_messages(speech) -> None:
    async def main() -> None:
        draw = random.Random(5)
        settings = RealtimeSettings(max_responses_per_minute=1000)
        talk, other = (Talk(FakeParts(0.2), ALL, settings) for _ in range(2))
        for session in (talk, other):
            session.session.begin()
        voice = speech(0.5)
        for number in range(COUNT):
            talk.session.receive(mutated(draw))
            if number % 500 == 0:
                talk.append(voice)
                talk.now_s += 1
                await talk.settle(20)
            if number % 10 == 0:
                await asyncio.sleep(0)
            talk.session.tick()
        await talk.settle(200)
        assert talk.session.ended is None
        assert talk.session.kept_s < settings.max_kept_audio_s + settings.max_turn_s
        assert all(len(json.dumps(event)) < 30_000 for event in talk.of("error"))
        assert {event["error"]["type"] for event in talk.of("error")} <= {"invalid_request_error", "rate_limit_error"}
        assert len({event["event_id"] for event in talk.events}) == len(talk.events)
        assert other.kinds == ["session.created", "conversation.created"]
        manual = {"audio": {"input": {"turn_detection": None}}, "output_modalities": ["text"]}
        talk.say("session.update", session={"type": "realtime", **manual})
        talk.say("input_audio_buffer.clear")
        talk.append(voice)
        talk.say("input_audio_buffer.commit")
        known = len(talk.of("response.done"))
        talk.say("response.cancel")
        talk.say("response.create")
        await talk.settle(500)
        assert talk.of("response.done")[known:][-1]["response"]["status"] == "completed"
        for session in (talk, other):
            await session.close()

    asyncio.run(main())
