"""An answer that is begun before it is certain that the user has finished."""

from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import Question, Reply
from rapport.serve_apps.http.errors import ApiError
from tests.serve_apps.realtime.conftest import SAID, Talk


def halves(speech: Any, pause_s: float) -> tuple[bytes, bytes]:
    """Two stretches of a voice with a pause after the first."""
    return speech(1.0, before_s=0.3, after_s=pause_s), speech(0.8, before_s=0.0, after_s=0.8, seed=1)


def test_the_model_is_asked_within_the_pause_and_nobody_is_told(talk, speech) -> None:
    async def test(t: Talk) -> None:
        await t.speak(speech(1.0, after_s=0.4), piece_s=0.02)
        assert len(t.parts.asked) == 1
        assert not t.of("response.created")
        assert not t.of("conversation.item.input_audio_transcription.delta")
        await t.speak(bytes(24_000), piece_s=0.02)
        done = await t.until("response.done")
        assert len(t.parts.asked) == 1, "asked once"
        assert done["response"]["output"][0]["content"][0]["transcript"] == SAID
        stopped, committed = t.of("input_audio_buffer.speech_stopped")[0], t.of("input_audio_buffer.committed")[0]
        heard = t.session._conversation.find(committed["item_id"])
        assert len(t.parts.asked[0].samples) == pytest.approx(len(heard.pcm) / 2 * 2 / 3, abs=2), "all of the turn"
        assert stopped["item_id"] == heard.id

    talk(test)


def test_who_goes_on_gets_an_answer_to_all_of_it(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        first, second = halves(speech, 0.3)
        await t.speak(first, piece_s=0.02)
        assert len(t.parts.asked) == 1
        await t.speak(second, piece_s=0.02)
        assert t.parts.left == 1, "the answer to the first half is dropped"
        t.parts.gate.set()
        await t.until("response.done")
        assert len(t.of("response.done")) == len(t.of("input_audio_buffer.committed")) == 1
        assert len(t.parts.asked) == 2
        assert len(t.parts.asked[1].samples) > len(t.parts.asked[0].samples) + 8_000

    talk(test)


def test_other_settings_by_the_end_of_the_turn_want_another_answer(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        await t.speak(speech(1.0, after_s=0.4), piece_s=0.02)
        t.say("session.update", session={"type": "realtime", "max_output_tokens": 20})
        await t.speak(bytes(24_000), piece_s=0.02)
        assert t.parts.left == 1
        t.parts.gate.set()
        assert (await t.until("response.done"))["response"]["status"] == "incomplete"
        assert [question.generation.max_new_tokens for question in t.parts.asked] == [256, 20]
        np.testing.assert_array_equal(t.parts.asked[0].samples, t.parts.asked[1].samples)

    talk(test)


@pytest.mark.parametrize("mended", [True, False])
def test_what_fails_ahead_is_asked_again(talk, speech, mended: bool) -> None:
    async def test(t: Talk) -> None:
        t.parts.broken["answer"] = ApiError(503, "lost")
        await t.speak(speech(1.0, after_s=0.4), piece_s=0.02)
        assert not t.of("response.done")
        assert not t.of("error")
        if mended:
            del t.parts.broken["answer"]
        await t.speak(bytes(24_000), piece_s=0.02)
        done = (await t.until("response.done"))["response"]
        assert len(t.parts.asked) == 2
        assert done["status"] == ("completed" if mended else "failed")
        assert mended or done["status_details"]["error"]["message"] == "lost"

    talk(test)


def test_what_fails_once_it_is_wanted_is_told(talk, speech, monkeypatch) -> None:
    async def test(t: Talk) -> None:
        async def lost(question: Question) -> AsyncGenerator[Piece | Reply]:
            t.parts.asked.append(question)
            await t.parts.gate.wait()
            yield Piece("user_emotion", "sad")
            raise ApiError(503, "lost")

        monkeypatch.setattr(t.parts, "answer", lost)
        t.parts.gate.clear()
        await t.speak(speech(1.0, after_s=0.9), piece_s=0.02)
        assert t.of("response.created")
        t.parts.gate.set()
        done = (await t.until("response.done"))["response"]
        assert (done["status"], done["status_details"]["error"]["message"]) == ("failed", "lost")
        assert len(t.parts.asked) == 1

    talk(test)


@pytest.mark.parametrize("how", ["setting", "client", "cleared", "closed"])
def test_nothing_is_begun_or_left_where_no_answer_comes(talk, speech, how: str) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        if how == "client":
            vad = {"type": "server_vad", "create_response": False}
            t.say("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": vad}}})
        await t.speak(speech(1.0, after_s=0.4), piece_s=0.02)
        assert len(t.parts.asked) == (1 if how in ("cleared", "closed") else 0)
        if how == "cleared":
            t.say("input_audio_buffer.clear")
        elif how == "closed":
            await t.session.close()
        await t.settle()
        assert t.parts.left == len(t.parts.asked)

    talk(test, **({"answer_ahead": False} if how == "setting" else {}))


def test_pauses_are_no_way_to_ask_for_more_than_replies_may_be(talk, speech) -> None:
    async def test(t: Talk) -> None:
        t.parts.gate.clear()
        for seed in range(5):
            await t.speak(speech(0.5, before_s=0.0, after_s=0.3, seed=seed), piece_s=0.02)
        assert len(t.parts.asked) == 2

    talk(test, max_responses_per_minute=2)
