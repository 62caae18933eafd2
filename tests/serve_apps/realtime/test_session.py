"""What a client of a session sees: turns, replies, interruptions, errors and bounds."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from rapport.core.errors import RapportError
from rapport.serve_apps.realtime.parts import Facts
from tests.serve_apps.realtime.conftest import ALL, HEARD, SAID, Talk

MANUAL = {"audio": {"input": {"turn_detection": None}}}


async def turn(talk: Talk, pcm: bytes) -> dict[str, Any]:
    await talk.speak(pcm)
    return await talk.until("response.done")


def test_a_whole_turn_comes_in_order(talk, speech) -> None:
    async def test(t: Talk) -> None:
        done = await turn(t, speech())
        assert t.kinds[:2] == ["session.created", "conversation.created"]
        order = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        assert [kind for kind in dict.fromkeys(t.kinds) if kind in order] == order
        assert t.of("conversation.item.input_audio_transcription.completed")[0]["transcript"] == HEARD
        assert t.of("response.output_audio_transcript.done")[0]["transcript"] == SAID
        response = done["response"]
        assert (response["status"], response["output"][0]["content"][0]["transcript"]) == ("completed", SAID)
        assert response["metadata"]["x_emotion_user"] == "sad"
        assert response["metadata"]["x_emotion_reply"] == "neutral"
        sound = b"".join(base64.b64decode(e["delta"]) for e in t.of("response.output_audio.delta"))
        assert len(sound) == 2 * 48_000, "a second for each of two sentences"
        assert [order.text for order in t.parts.spoken] == ["That is rough.", "Shall I look for a night train?"]

    talk(test)


def test_the_turn_is_the_voice_with_a_margin(talk, speech) -> None:
    async def test(t: Talk) -> None:
        await turn(t, speech(1.0, before_s=1.0, after_s=0.9))
        started, stopped = (t.of(f"input_audio_buffer.speech_{edge}")[0] for edge in ("started", "stopped"))
        assert started["audio_start_ms"] == pytest.approx(700, abs=80), "300 ms before the voice"
        assert stopped["audio_end_ms"] == pytest.approx(2200, abs=120), "200 ms after it"
        assert started["item_id"] == stopped["item_id"] == t.of("input_audio_buffer.committed")[0]["item_id"]
        asked_s = len(t.parts.asked[0].samples) / 16_000
        assert asked_s == pytest.approx((stopped["audio_end_ms"] - started["audio_start_ms"]) / 1000, abs=0.01)

    talk(test)


def test_latencies_count_from_the_end_of_the_voice(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        await t.speak(speech(1.0, before_s=0.3, after_s=0.6))
        await t.until("response.created")
        t.now_s += 0.25
        t.parts.gate.set()
        told = (await t.until("response.done"))["response"]
        spans = told["x_latency_ms"]
        assert spans["commit"] == pytest.approx(550, abs=110), "the pause that ends a turn"
        assert spans["first_audio_byte"] == pytest.approx(spans["commit"] + 250, abs=110)
        assert spans["first_audible_sample"] == pytest.approx(spans["first_audio_byte"] + 100, abs=1), "after the silence it begins with"
        assert float(told["metadata"]["x_end_of_speech_to_first_audio_byte_ms"]) == spans["first_audio_byte"]

    talk(test)


def test_the_emotion_is_told_while_the_user_speaks(talk, speech) -> None:
    async def test(t: Talk) -> None:
        await turn(t, speech(3.0))
        stopped = t.kinds.index("input_audio_buffer.speech_stopped")
        during = [e for e in t.events[:stopped] if e["type"] == "x_emotion.delta"]
        assert 4 <= len(during) <= 8
        assert {(e["model"], e["emotion"], e["final"]) for e in during} == {("ser", "sad", False)}
        assert [e["audio_end_ms"] for e in during] == sorted(e["audio_end_ms"] for e in during)
        finals = {e["model"]: e for e in t.of("x_emotion.delta") if e["final"]}
        assert set(finals) == {"ser", "emosds"}
        assert finals["ser"]["scores"] == {"neutral": 0.25, "sad": 0.75}
        assert max(t.parts.looked_s[:-1]) <= 3.0

    talk(test)


def test_the_head_moves_with_all_that_is_heard(talk, speech) -> None:
    async def test(t: Talk) -> None:
        await t.speak(speech(2.0))
        frames = [frame for e in t.of("x_head_motion.delta") for frame in e["frames"]]
        assert len(frames) == 93, "30 a second of 3.1 s"
        assert frames[-1]["time_s"] == pytest.approx(3.1)
        t.say("session.update", session={"type": "realtime", "x_head_motion": None})
        known = len(t.of("x_head_motion.delta"))
        await t.speak(speech(1.0))
        assert len(t.of("x_head_motion.delta")) == known
        t.say("session.update", session={"type": "realtime", "x_head_motion": {"rate_hz": 30}})
        await t.speak(bytes(48_000))
        assert t.of("x_head_motion.delta")[-1]["frames"][-1]["time_s"] == pytest.approx(3.1 + 2.1 + 1.0, abs=0.11)

    talk(test)


def test_who_breaks_in_is_heard_and_the_reply_is_cut(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.half.clear()
        await t.speak(speech(1.0))
        await t.until("response.output_audio.delta")
        t.now_s += 0.3
        await t.speak(speech(0.6, before_s=0.1, after_s=0.0, seed=1))
        done = await t.until("response.done")
        assert (done["response"]["status"], done["response"]["status_details"]["reason"]) == ("cancelled", "turn_detected")
        cut = t.of("conversation.item.truncated")[0]
        assert 0 < cut["audio_end_ms"] <= 1000
        assert t.kinds.index("response.done") < t.kinds.index("conversation.item.truncated")
        assert t.parts.left == 1, "nobody goes on writing"
        t.parts.half.set()
        await t.speak(bytes(48_000))
        await t.settle(400)
        assert [d["response"]["status"] for d in t.of("response.done")] == ["cancelled", "completed"]
        heard, said = t.parts.asked[-1].history
        assert (heard.speaker, heard.text) == ("user", HEARD)
        assert said.text in ("That", "That is", "That is rough.")

    talk(test)


def test_a_reply_that_is_told_but_not_heard_yet_is_cut_too(talk, speech) -> None:
    async def test(t: Talk) -> None:
        await turn(t, speech())
        t.now_s += 0.9  # of two seconds
        await t.speak(speech(0.6, before_s=0.0, after_s=0.0, seed=1))
        cut = t.of("conversation.item.truncated")
        assert len(cut) == 1
        t.say("conversation.item.retrieve", item_id=cut[0]["item_id"])
        item = (await t.until("conversation.item.retrieved"))["item"]
        assert len(base64.b64decode(item["content"][0]["audio"])) == cut[0]["audio_end_ms"] * 48
        assert item["content"][0]["transcript"] != SAID
        assert SAID.startswith(item["content"][0]["transcript"])

    talk(test)


def test_a_reply_may_be_left_to_go_on(talk, speech) -> None:
    async def test(t: Talk) -> None:
        vad = {"type": "server_vad", "interrupt_response": False}
        t.say("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": vad}}})
        t.parts.gate.clear()
        await t.speak(speech() + speech(seed=1))
        assert [e["error"]["code"] for e in t.of("error")] == ["conversation_already_has_active_response"]
        t.parts.gate.set()
        assert (await t.until("response.done"))["response"]["status"] == "completed"
        assert not t.of("conversation.item.truncated")

    talk(test)


def test_a_client_may_tell_turns_itself(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.say("session.update", session={"type": "realtime", **MANUAL})
        assert (await t.until("session.updated"))["session"]["audio"]["input"]["turn_detection"] is None
        await t.speak(speech())
        assert "input_audio_buffer.speech_started" not in t.kinds
        t.say("input_audio_buffer.commit")
        completed = await t.until("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == HEARD
        assert "response.created" not in t.kinds
        t.say("response.create", response={"output_modalities": ["text"], "metadata": {"topic": "buses"}})
        done = (await t.until("response.done"))["response"]
        assert (done["metadata"]["topic"], done["output_modalities"]) == ("buses", ["text"])
        assert t.of("response.output_text.done")[0]["text"] == SAID
        assert not t.of("response.output_audio.delta")
        assert len(t.of("conversation.item.input_audio_transcription.completed")) == 1

    talk(test)


def test_a_response_can_be_cancelled(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        await t.speak(speech())
        created = await t.until("response.created")
        t.say("response.cancel", response_id="resp_other")
        t.say("response.cancel", response_id=created["response"]["id"])
        done = (await t.until("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        t.parts.gate.set()
        completed = await t.until("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == HEARD, "the words are told all the same"
        t.say("response.cancel")
        await t.settle()
        assert [e["error"]["code"] for e in t.of("error")] == ["response_cancel_not_active"] * 2

    talk(test)


def test_items_can_be_made_shown_cut_and_forgotten(talk, speech) -> None:
    async def test(t: Talk) -> None:
        said = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Did you catch it?"}],
            "x_emotion": "happy",
        }
        t.say("conversation.item.create", item={**said, "id": "a"})
        audio = base64.b64encode(speech()).decode()
        spoken = {"type": "message", "role": "user", "id": "b", "content": [{"type": "input_audio", "audio": audio}]}
        t.say("conversation.item.create", item=spoken, previous_item_id="a")
        t.say("conversation.item.create", item={**said, "id": "c"}, previous_item_id="root")
        t.say("response.create")
        await t.until("response.done")
        history = t.parts.asked[0].history
        assert [(turn.text, turn.emotion) for turn in history] == [("Did you catch it?", "happy")] * 2
        t.say("conversation.item.delete", item_id="a")
        assert (await t.until("conversation.item.deleted"))["item_id"] == "a"
        reply = t.of("response.output_item.done")[0]["item"]["id"]
        t.say("conversation.item.truncate", item_id=reply, content_index=0, audio_end_ms=500)
        assert (await t.until("conversation.item.truncated"))["audio_end_ms"] == 500
        t.say("conversation.item.retrieve", item_id="b")
        assert (await t.until("conversation.item.retrieved"))["item"]["content"][0]["audio"] == audio
        for wrong in (
            {"kind": "conversation.item.retrieve", "item_id": "a"},
            {"kind": "conversation.item.truncate", "item_id": "b", "content_index": 0, "audio_end_ms": 1},
            {"kind": "conversation.item.truncate", "item_id": reply, "content_index": 0, "audio_end_ms": 50_000},
            {"kind": "conversation.item.create", "item": spoken},
            {"kind": "conversation.item.create", "item": {**said, "x_emotion": "hungry"}},
            {"kind": "conversation.item.create", "item": {**said, "role": "user"}},
        ):
            t.say(**wrong)
        await t.settle()
        assert len(t.of("error")) == 6

    talk(test)


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("", "invalid_json", None),
        ("{" * 100_000, "invalid_json", None),
        ("[1]", "invalid_event", None),
        ('{"type": "session.destroy", "event_id": "mine"}', "invalid_event", "type"),
        ('{"type": 3, "event_id": "mine"}', "invalid_event", "type"),
        ('{"type": "input_audio_buffer.append", "event_id": "mine"}', "invalid_value", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "%%", "event_id": "mine"}', "invalid_base64", "audio"),
        ('{"type": "input_audio_buffer.commit", "event_id": "mine"}', "input_audio_buffer_commit_empty", None),
        ('{"type": "response.create", "event_id": "mine"}', "no_speech", None),
        ('{"type": "response.create", "event_id": "mine", "response": {"tools": [{}]}}', "invalid_value", "response.tools"),
        ('{"type": "session.update", "event_id": "mine", "session": {"type": "transcription"}}', "invalid_value", "session.type"),
        ('{"type": "session.update", "event_id": "mine", "session": {"model": "other"}}', "invalid_value", "session.model"),
        (
            '{"type": "session.update", "event_id": "mine", "session": {"audio": {"output": {"voice": "nobody"}}}}',
            "voice_not_found",
            "session.audio.output.voice",
        ),
        (
            '{"type": "session.update", "event_id": "mine", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}}',
            "invalid_value",
            "session.audio.input.format.type",
        ),
    ],
)
def test_what_is_wrong_is_told_and_the_session_lives_on(talk, speech, text: str, code: str, param: str | None) -> None:
    async def test(t: Talk) -> None:
        t.session.receive(text)
        error = (await t.until("error"))["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert error["event_id"] == ("mine" if '"mine"' in text else None)
        assert len(error["message"]) < 600
        assert (await turn(t, speech()))["response"]["status"] == "completed"

    talk(test)


def test_a_part_that_fails_fails_alone(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.broken = {
            "answer": RapportError("the recording is too long"),
            "emotion": RuntimeError("secret"),
            "head": RuntimeError("secret"),
        }
        done = (await turn(t, speech()))["response"]
        assert (done["status"], done["status_details"]["error"]["message"]) == ("failed", "the recording is too long")
        assert t.of("conversation.item.input_audio_transcription.failed")
        t.parts.broken = {"speak": RuntimeError("secret")}
        t.say("response.create")
        await t.settle(400)
        assert t.of("response.done")[-1]["response"]["status_details"]["error"]["code"] == "internal_error"
        assert "secret" not in json.dumps(t.events)
        t.parts.broken = {}
        t.say("response.create")
        await t.settle(400)
        assert t.of("response.done")[-1]["response"]["status"] == "completed"

    talk(test)


def test_an_answer_that_does_not_come_is_given_up(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        done = (await turn(t, speech()))["response"]
        assert done["status_details"]["error"]["code"] == "timeout"
        assert "answer_timeout_s" in done["status_details"]["error"]["message"]

    talk(test, answer_timeout_s=0.05)


def test_without_parts_the_rest_works(talk, speech) -> None:
    async def listens(t: Talk) -> None:
        assert t.of("session.created")[0]["session"]["x_parts"]["dialogue"] is False
        await t.speak(speech())
        assert t.of("x_emotion.delta")
        assert t.of("conversation.item.input_audio_transcription.completed")[0]["transcript"] == "the transcriber heard this"
        t.say("response.create")
        assert (await t.until("error"))["error"]["code"] == "model_does_not_reply"
        assert "response.created" not in t.kinds

    async def writes(t: Talk) -> None:
        done = (await turn(t, speech()))["response"]
        assert done["output_modalities"] == ["text"]
        t.say("response.create", response={"output_modalities": ["audio"]})
        assert "no voice" in (await t.until("error"))["error"]["message"]
        assert not t.of("x_head_motion.delta")

    talk(listens, facts=Facts(emotion=True, transcriber=True))
    talk(writes, facts=Facts(dialogue=ALL.dialogue))


def test_the_transcriber_may_be_asked_instead(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.say("session.update", session={"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}})
        await turn(t, speech())
        (completed,) = t.of("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == "the transcriber heard this"
        t.say("session.update", session={"type": "realtime", "audio": {"input": {"transcription": None}}})
        await t.speak(speech(seed=2))
        assert len(t.of("conversation.item.input_audio_transcription.completed")) == 1

    talk(test)


def test_nothing_grows_without_bound(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.say("session.update", session={"type": "realtime", **MANUAL})
        for _ in range(40):
            t.append(bytes(24_000))
        await t.settle()
        assert t.session.kept_s == 2.0
        assert [e["error"]["code"] for e in t.of("error")] == ["input_audio_buffer_full"] * 36
        t.say("input_audio_buffer.clear")
        assert t.session.kept_s == 0
        for number in range(30):
            t.append(speech(1.0, before_s=0, after_s=0, seed=number))
            t.say("input_audio_buffer.commit")
            await t.settle(20)
        assert t.session.kept_s <= 6.0
        assert len(t.of("conversation.item.deleted")) == 30 - 5

    talk(test, max_turn_s=2, max_items=5, max_kept_audio_s=4)


def test_a_turn_without_end_is_cut(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.say("session.update", session={"audio": {"input": {"turn_detection": {"create_response": False}}}})
        t.append(speech(9.0, before_s=0.0))  # at once
        await t.settle(200)
        assert len(t.of("input_audio_buffer.committed")) == 3
        assert t.session.kept_s < 16

    talk(test, max_turn_s=4)


def test_a_client_that_reads_nothing_is_sent_away(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.stop_reading()
        await t.settle()
        for number in range(200):
            t.append(speech(0.5, seed=number))
            await t.settle(30)
            if t.session.ended:
                break
        assert "max_unsent_mib" in (t.session.ended or "")
        assert t.session.waiting_bytes <= 0.2 * 2**20

    talk(test, max_unsent_mib=0.2)


def test_who_says_nothing_is_sent_away(talk) -> None:
    async def test(t: Talk) -> None:
        t.now_s += 59
        t.session.tick()
        t.append(bytes(4_800))
        t.now_s += 59
        t.session.tick()
        assert t.session.ended is None
        t.now_s += 1
        t.session.tick()
        assert "idle_timeout_s" in (t.session.ended or "")
        assert (await t.until("error"))["error"]["code"] == "session_idle"

    talk(test)


def test_a_session_does_not_last_for_ever(talk) -> None:
    async def test(t: Talk) -> None:
        for _ in range(10):
            t.now_s += 10
            t.append(bytes(4_800))
            t.session.tick()
        assert (await t.until("error"))["error"]["code"] == "session_expired"

    talk(test, max_session_s=100)


def test_after_a_long_silence_the_server_speaks_up(talk, speech) -> None:
    async def test(t: Talk) -> None:
        vad = {"idle_timeout_ms": 5000}
        t.say("session.update", session={"audio": {"input": {"turn_detection": vad}}})
        await turn(t, speech())
        t.now_s += 6.0  # of which two are the reply
        t.session.tick()
        assert not t.of("input_audio_buffer.timeout_triggered")
        t.now_s += 1.5
        t.session.tick()
        t.session.tick()
        await t.settle(400)
        assert len(t.of("input_audio_buffer.timeout_triggered")) == 1
        assert [d["response"]["status"] for d in t.of("response.done")] == ["completed", "completed"]

    talk(test)


def test_replies_are_counted(talk, speech) -> None:
    async def test(t: Talk) -> None:
        await turn(t, speech())
        assert t.of("rate_limits.updated")[0]["rate_limits"][0]["remaining"] == 1
        for _ in range(2):
            t.say("response.create")
            await t.settle(400)
        assert (await t.until("error"))["error"]["code"] == "rate_limit_exceeded"
        t.now_s += 60
        t.say("response.create")
        await t.settle(400)
        assert len(t.of("response.done")) == 3

    talk(test, max_responses_per_minute=2)


def written(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


def test_a_message_in_writing_is_read_to_the_model(talk) -> None:
    async def test(t: Talk) -> None:
        t.say("conversation.item.create", item=written("I missed it.", x_emotion="angry"))
        t.say("response.create")
        done = (await t.until("response.done"))["response"]
        assert (done["status"], done["output"][0]["content"][0]["transcript"]) == ("completed", SAID)
        assert (t.parts.spoken[0].text, t.parts.spoken[0].emotion) == ("I missed it.", "angry")
        assert len(t.parts.asked[0].samples) == 16_000, "what the voice has read, at the rate of the model"
        assert not t.of("x_emotion.delta"), "nobody knows how the user would have sounded"
        assert done["metadata"]["x_emotion_user"] == "angry"
        assert not t.of("conversation.item.input_audio_transcription.completed")

    talk(test)


@pytest.mark.parametrize(
    ("facts", "text", "code"),
    [(replace(ALL, voices=()), "Hello.", "no_speech"), (ALL, "", "no_speech"), (ALL, "a" * 501, "text_too_long")],
)
def test_a_message_that_cannot_be_read_out_is_refused(talk, facts: Facts, text: str, code: str) -> None:
    async def test(t: Talk) -> None:
        t.say("conversation.item.create", item=written(text))
        t.say("response.create", response={"output_modalities": ["text"]})
        await t.settle()
        assert [event["error"]["code"] for event in t.of("error")] == [code]
        assert not t.parts.spoken

    talk(test, facts=facts)
