"""One client's session without a network: texts of events in, texts of events out, and turns, replies and interruptions in between.

    session = RealtimeSession(parts, facts, settings, model="emosds")
    session.begin()
    session.receive(text)                    # never raises for what a client does wrong: it is told
    async for text in session.texts(): ...   # until the session is over
    session.tick()                           # now and then: what is due by the clock
    await session.close()

Lives on one event loop. Everything that a client can make grow is bounded, see `RealtimeSettings`.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from rapport.core.errors import RapportError
from rapport.models.emosds.answer import emotion_named
from rapport.serve_apps.realtime import client_events as client
from rapport.serve_apps.realtime import server_events as server
from rapport.serve_apps.realtime.conversation import Content, Conversation, Item
from rapport.serve_apps.realtime.errors import ProtocolError
from rapport.serve_apps.realtime.head import Head
from rapport.serve_apps.realtime.input_audio import BYTES, decoded, milliseconds, seconds_of
from rapport.serve_apps.realtime.latencies import TurnClock
from rapport.serve_apps.realtime.listening import Heard, Listening
from rapport.serve_apps.realtime.looks import Looks
from rapport.serve_apps.realtime.meter import Meter, NoMeter
from rapport.serve_apps.realtime.outbox import Outbox, Overflow
from rapport.serve_apps.realtime.parts import Facts, Parts
from rapport.serve_apps.realtime.replies import Asked, Replies
from rapport.serve_apps.realtime.session_config import RATE_HZ, SessionConfig, updated
from rapport.serve_apps.realtime.settings import RealtimeSettings
from rapport.serve_apps.realtime.transcribing import Transcribing

_SILENCE_S = 0.5  # what is answered when the user has said nothing for long


class RealtimeSession:
    """A session. `ended` tells why the server has ended it, once it has."""

    def __init__(
        self,
        parts: Parts,
        facts: Facts,
        settings: RealtimeSettings,
        *,
        model: str,
        meter: Meter | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now` gives seconds."""
        self.settings, self._now = settings, now
        self._meter: Meter = meter or NoMeter()
        self._facts = facts
        self.config = SessionConfig.model_validate({"model": model, "output_modalities": ["audio" if facts.voices else "text"]})
        self.id = server.new_id("sess")
        self.ended: str | None = None
        self._outbox = Outbox(round(settings.max_unsent_mib * 2**20))
        self._conversation = Conversation(settings.max_items, settings.max_kept_audio_s)
        self._looks = Looks(parts, facts, self._emit)
        self._head = Head(parts, self._emit)
        self._words = Transcribing(parts, facts, settings, self._emit)
        self._replies = Replies(parts, facts, settings, self._conversation, self._words, self._emit, now)
        self._listening = Listening(
            settings.max_turn_s,
            settings.emotion_window_s,
            self._looks,
            started=self._speech_started,
            stopped=self._speech_stopped,
            paused=self._speech_paused,
        )
        self._began_s = self._seen_s = now()
        self._expires_at = round(time.time() + settings.max_session_s)

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be sent."""
        return self._outbox.waiting_bytes

    @property
    def kept_s(self) -> float:
        """How much sound is kept, of messages and of what is none yet."""
        return self._conversation.audio_s + self._listening.kept_s

    def begin(self) -> None:
        """Greet the client."""
        self._emit(server.SessionTold(type="session.created", session=self._told_config()))
        self._emit(server.ConversationCreated(conversation={"id": "conv_default", "object": "realtime.conversation"}))
        self._listening.configure(self.config.audio.input, self.config.x_emotion)
        if self._facts.head_motion:
            self._head.move(self.config.x_head_motion)

    def texts(self) -> AsyncIterator[str]:
        """What is to be sent, as it comes; ends with the session."""
        return self._outbox.texts()

    def receive(self, text: str) -> None:
        """Take a message of the client."""
        self._seen_s = self._now()
        event_id = None
        try:
            event = client.read_event(text)
            event_id = event.event_id
            self._do(event)
        except ProtocolError as error:
            self._complain(error, event_id)
        except RapportError as error:
            self._complain(ProtocolError(str(error)), event_id)
        for item_id in self._conversation.trim():
            self._replies.forget(item_id)
            self._emit(server.ItemDeleted(item_id=item_id))

    def tick(self) -> None:
        """Do what is due by the clock."""
        now_s = self._now()
        settings = self.settings
        if now_s - self._seen_s >= settings.idle_timeout_s:
            self._end("session_idle", f"nothing came for {settings.idle_timeout_s:g} s (idle_timeout_s): send audio, or any event")
        elif now_s - self._began_s >= settings.max_session_s:
            self._end("session_expired", f"the session has lasted {settings.max_session_s:g} s (max_session_s): connect again")
        elif self._is_quiet_too_long(now_s):
            self._speak_up(now_s)

    async def close(self) -> None:
        """End all work. Nothing is sent any more."""
        self._looks.stop()
        self._head.rest()
        self._words.stop()
        await self._replies.close()
        self._outbox.close()

    # ---- what a client may say ---------------------------------------------------------------------------------------------------------

    def _do(self, event: client.Event) -> None:
        match event:
            case client.AppendAudio():
                self._head.hear(self._listening.hear(decoded(event.audio), self._now()))
            case client.SessionUpdate():
                self._update(event.session)
            case client.AudioWish():
                self._wish(event.type)
            case client.CreateItem():
                self._create_item(event.item, event.previous_item_id)
            case client.OneItem(type="conversation.item.retrieve"):
                self._emit(server.ItemRetrieved(item=self._conversation.find(event.item_id).told(with_audio=True)))
            case client.OneItem():
                self._delete(self._conversation.find(event.item_id))
            case client.TruncateItem():
                self._truncate(self._conversation.find(event.item_id), event.audio_end_ms)
            case client.CreateResponse():
                self._replies.begin(event.response or client.ResponseOptions(), self.config)
            case client.CancelResponse():
                self._cancel(event.response_id)

    def _update(self, patch: dict[str, Any]) -> None:
        before, config = self.config, updated(self.config, patch)
        self._replies.check(config)
        self._replies.drop()
        self.config = config
        self._listening.configure(config.audio.input, config.x_emotion)
        if self._facts.head_motion and config.x_head_motion != before.x_head_motion:
            self._head.move(config.x_head_motion)
        self._emit(server.SessionTold(type="session.updated", session=self._told_config()))

    def _wish(self, what: str) -> None:
        if what == "input_audio_buffer.clear":
            self._listening.clear()
            self._replies.drop()
            self._emit(server.BufferCleared())
        elif what == "output_audio_buffer.clear":
            self._replies.interrupt("client_cancelled", self.config)
            if self._replies.last is not None:
                self._emit(server.OutputCleared(response_id=self._replies.last.id))
        else:
            heard = self._listening.commit()
            if heard is None:
                message = f"{1000 * self._listening.kept_s:.0f} ms wait to become a message: wanted 100 ms or more"
                raise ProtocolError(message, code="input_audio_buffer_commit_empty")
            self._commit(heard, answered=False)

    def _create_item(self, given: client.GivenItem, after: str | None) -> None:
        item = Item(given.id or server.new_id("item"), given.role, emotion=emotion_named(given.x_emotion) if given.x_emotion else None)
        kinds = {"user": "input", "system": "input", "assistant": "output"}
        for number, content in enumerate(given.content):
            param = f"item.content.{number}"
            if not content.type.startswith(kinds[given.role]):
                raise ProtocolError(f"{param}.type is {content.type} in a message of the {given.role}", param=f"{param}.type")
            pcm = decoded(content.audio, f"{param}.audio") if content.audio else b""
            longest = round(self.settings.max_turn_s * RATE_HZ) * BYTES
            if len(pcm) > longest or len(pcm) % BYTES:
                message = f"{param}.audio has {len(pcm):,} bytes: wanted whole samples, {longest:,} bytes at most (max_turn_s)"
                raise ProtocolError(message, param=f"{param}.audio")
            item.content.append(Content(content.type, content.words or None, pcm))
        self._add(item, after)

    def _delete(self, item: Item) -> None:
        last = self._replies.last
        if last is not None and last.item is item and not last.ended:
            raise ProtocolError("the item is being written: cancel the response first", code="item_in_progress", param="item_id")
        self._conversation.remove(item)
        self._replies.forget(item.id)
        self._emit(server.ItemDeleted(item_id=item.id))

    def _truncate(self, item: Item, audio_end_ms: int) -> None:
        if item.spoken is None:
            raise ProtocolError(f"item {item.id[:100]!r} is no reply that was spoken", param="item_id", code="invalid_value")
        length_ms = milliseconds(item.spoken.samples)
        if audio_end_ms > length_ms:
            raise ProtocolError(f"audio_end_ms is {audio_end_ms}: the audio of the item ends at {length_ms}", param="audio_end_ms")
        item.truncate(audio_end_ms * RATE_HZ // 1000)
        self._emit(server.ItemTruncated(item_id=item.id, audio_end_ms=audio_end_ms))

    def _cancel(self, response_id: str | None) -> None:
        last = self._replies.last
        if last is None or last.ended or response_id not in (None, last.id):
            raise ProtocolError("there is no such response under way", code="response_cancel_not_active", param="response_id")
        self._replies.interrupt("client_cancelled", self.config)

    # ---- turns -------------------------------------------------------------------------------------------------------------------------

    def _speech_started(self, item_id: str, start: int) -> None:
        self._emit(server.SpeechStarted(audio_start_ms=milliseconds(start), item_id=item_id))
        vad = self.config.audio.input.turn_detection
        if vad is not None and vad.interrupt_response:
            self._replies.interrupt("turn_detected", self.config)

    def _speech_stopped(self, heard: Heard) -> None:
        self._emit(server.SpeechStopped(audio_end_ms=milliseconds(heard.end), item_id=heard.item_id))
        vad = self.config.audio.input.turn_detection
        answered = vad is not None and vad.create_response and self._facts.replies
        self._commit(heard, answered=answered)
        if answered:
            self._respond(client.ResponseOptions())
        self._replies.drop()  # where it could not be answered

    def _speech_paused(self, pcm: bytes | None) -> None:
        vad = self.config.audio.input.turn_detection
        if pcm is None:
            self._replies.drop()
        elif self.settings.answer_ahead and vad is not None and vad.create_response:
            self._replies.prepare(pcm, self.config)

    def _commit(self, heard: Heard, *, answered: bool) -> None:
        """A turn becomes a message; its words are told by the answer, if there is to be one and it can."""
        now_s = self._now()
        self._meter.turn(seconds_of(heard.pcm))
        clock = TurnClock(now_s if heard.speech_end_s is None else heard.speech_end_s, commit_s=now_s)
        item = Item(heard.item_id, "user", [Content("input_audio", None, heard.pcm)])
        self._replies.time(item, Asked(clock, milliseconds(heard.start), milliseconds(heard.end)))
        last = self._conversation.last
        self._emit(server.BufferCommitted(previous_item_id=last.id if last else None, item_id=item.id))
        self._add(item, None)
        self._words.begin(item, self.config, answered=answered)

    def _add(self, item: Item, after: str | None) -> None:
        before = self._conversation.add(item, after)
        self._emit(server.ItemTold(type="conversation.item.added", previous_item_id=before, item=item.told()))
        self._emit(server.ItemTold(type="conversation.item.done", previous_item_id=before, item=item.told()))

    def _is_quiet_too_long(self, now_s: float) -> bool:
        vad, over_s = self.config.audio.input.turn_detection, self._replies.over_s
        if vad is None or vad.idle_timeout_ms is None or over_s is None or self._listening.speaking:
            return False
        return self._facts.replies and now_s - over_s >= vad.idle_timeout_ms / 1000

    def _speak_up(self, now_s: float) -> None:
        """Answer a silence."""
        heard = self._listening.commit()
        silence = bytes(round(_SILENCE_S * RATE_HZ) * BYTES)
        heard = heard or Heard(server.new_id("item"), silence, 0, 0, now_s)
        start_ms, end_ms = milliseconds(heard.start), milliseconds(heard.end)
        self._emit(server.TimeoutTriggered(audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=heard.item_id))
        self._commit(heard, answered=True)
        self._respond(client.ResponseOptions())

    def _respond(self, options: client.ResponseOptions) -> None:
        """Answer, where nobody waits to be told that it cannot be."""
        try:
            self._replies.begin(options, self.config)
        except ProtocolError as error:
            self._complain(error, None)

    # ---- telling -----------------------------------------------------------------------------------------------------------------------

    def _emit(self, event: server.ServerEvent) -> None:
        if isinstance(event, server.ResponseTold) and event.type == "response.done":
            self._meter.reply(event.response["status"], event.response["x_latency_ms"])
        elif isinstance(event, server.Error):
            self._meter.error(event.error.code or "")
        try:
            self._outbox.put(event)
        except Overflow as error:
            # There is no use in telling somebody who does not read.
            self.ended = self.ended or f"{error}, the limit is {self.settings.max_unsent_mib:g} MiB (max_unsent_mib)"
            self._outbox.close()

    def tell_error(self, message: str, code: str) -> None:
        """Tell the client of a message that could not even be read."""
        self._seen_s = self._now()
        self._emit(server.error_event(message, code=code))

    def _complain(self, error: ProtocolError, event_id: str | None) -> None:
        kind = "rate_limit_error" if error.code == "rate_limit_exceeded" else "invalid_request_error"
        told = server.error_event(error.message, code=error.code, kind=kind, param=error.param, event_id=error.event_id or event_id)
        self._emit(told)

    def _end(self, code: str, message: str) -> None:
        if self.ended is None:
            self._emit(server.error_event(message, code=code))
            self.ended = message
            self._outbox.close()

    def _told_config(self) -> dict[str, Any]:
        shown = {"id": self.id, "object": "realtime.session", "expires_at": self._expires_at, **self.config.model_dump()}
        return shown | {"x_parts": self._facts.told()}
