"""Replies as sentences and as sound, the user's sound, and conversations: what of them is kept."""

import base64

import pytest

from rapport.serve_apps.realtime.conversation import Content, Conversation, Item
from rapport.serve_apps.realtime.errors import ProtocolError
from rapport.serve_apps.realtime.input_audio import InputAudio, decoded
from rapport.serve_apps.realtime.outbox import Outbox, Overflow
from rapport.serve_apps.realtime.server_events import BufferCleared, ConversationCreated, EmotionDelta
from rapport.serve_apps.realtime.speaking import Sentences, Spoken

SECOND = bytes(48_000)


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_sentences_come_as_soon_as_they_are_whole(cut: int) -> None:
    text = 'Oh no! "Really?" Version 2.5 is out… It is late, and we should go home before the very last train leaves, or so I heard. Bye'
    sentences = Sentences()
    found = [sentence for start in range(0, len(text), cut) for sentence in sentences.write(text[start : start + cut])] + sentences.finish()
    assert " ".join(found) == text
    assert found[:3] == ["Oh no!", '"Really?"', "Version 2.5 is out…"]
    assert found[-1] == "Bye"


def test_of_a_reply_as_much_is_kept_as_was_heard() -> None:
    spoken = Spoken()
    assert [len(part) for part in spoken.add("one two three four", SECOND)] == [9_600] * 5
    list(spoken.add("five six", SECOND))
    spoken.begun_s = 10.0
    assert (spoken.played(9.0), spoken.played(11.5), spoken.played(99.0)) == (0, 36_000, 48_000)
    assert spoken.cut(36_000) == "one two three four five"
    assert spoken.samples == 36_000
    assert spoken.cut(12_000) in ("one", "one two")
    assert spoken.cut(0) == ""


def test_half_samples_wait_for_their_other_half() -> None:
    audio = InputAudio(2.0)
    assert audio.whole(b"abc") == b"ab"
    assert audio.whole(b"d") == b"cd"
    audio.append(SECOND, 5.0)
    audio.append(SECOND, 6.0)
    with pytest.raises(ProtocolError, match="max_turn_s"):
        audio.append(b"ab", 7.0)
    assert (audio.arrived_s(24_000), audio.arrived_s(24_001), audio.arrived_s(99_000)) == (5.0, 6.0, None)
    audio.keep_from(30_000)
    assert (audio.start, audio.end, len(audio.take(0, 31_000))) == (30_000, 48_000, 2_000)


@pytest.mark.parametrize("text", ["%", "abc", "AA==\n"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    assert decoded(base64.b64encode(b"ab").decode()) == b"ab"
    with pytest.raises(ProtocolError, match="base64"):
        decoded(text)


def test_a_conversation_forgets_old_sound_first_and_then_old_messages() -> None:
    conversation = Conversation(max_items=3, max_audio_s=2.0)
    for number in range(3):
        conversation.add(Item(str(number), "user", [Content("input_audio", f"words {number}", SECOND)]))
    assert conversation.trim() == []
    assert [len(conversation.find(str(number)).pcm) for number in range(3)] == [0, 48_000, 48_000]
    conversation.add(Item("3", "assistant", [Content("output_text", "words 3")]), after="root")
    assert conversation.trim() == ["3"]
    assert [turn.text for turn in conversation.history(conversation.find("2"), 1)] == ["words 1"]
    assert conversation.history(conversation.find("2"), 0) == ()
    with pytest.raises(ProtocolError, match="already"):
        conversation.add(Item("2", "user"))


def test_a_full_outbox_spares_what_can_be_spared() -> None:
    outbox = Outbox(1_000)
    for _ in range(20):
        outbox.put(EmotionDelta(item_id="a", emotion="sad", scores=None, audio_start_ms=0, audio_end_ms=1, model="ser", final=False))
    assert outbox.spared > 15
    while outbox.waiting_bytes < 900:
        outbox.put(BufferCleared())
    with pytest.raises(Overflow):
        outbox.put(ConversationCreated(conversation={"id": 100 * "a"}))
    assert outbox.waiting_bytes <= 1_000
