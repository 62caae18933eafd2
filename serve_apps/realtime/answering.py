"""One reply: from the question to the last of its events, whole, cut off or failed. Every reply that begins ends with `response.done`."""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rapport.core.audio import SAMPLE_RATE_HZ, from_pcm16, resample
from rapport.core.errors import RapportError
from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import Question, Reply
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.realtime.ahead import Ahead
from rapport.serve_apps.realtime.conversation import Content, Conversation, Item
from rapport.serve_apps.realtime.input_audio import seconds_of
from rapport.serve_apps.realtime.latencies import TurnClock
from rapport.serve_apps.realtime.parts import Facts, Parts
from rapport.serve_apps.realtime.server_events import (
    AudioDone,
    EmotionDelta,
    ItemTold,
    OutputDelta,
    OutputItemTold,
    PartTold,
    ResponseTold,
    ServerEvent,
    TextDone,
    TranscriptDone,
    TranscriptionCompleted,
    TranscriptionDelta,
    TranscriptionFailed,
    new_id,
)
from rapport.serve_apps.realtime.session_config import RATE_HZ, Pcm
from rapport.serve_apps.realtime.speaking import Sentences, Spoken
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder

logger = logging.getLogger("ray.serve")

Status = Literal["in_progress", "completed", "incomplete", "cancelled", "failed"]
Emit = Callable[[ServerEvent], None]


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What reply is wanted."""

    item: Item
    """The user's message."""
    question: Question
    speaks: bool
    """Whether it is to be spoken."""
    voice: str
    speed: float
    strength: float
    """How strongly it acts its emotion."""
    timeout_s: float
    """Longest time between two pieces."""
    clock: TurnClock
    heard_ms: tuple[int, int] = (0, 0)
    """Where the message lies in the user's audio."""
    transcribes: bool = False
    """Whether the user's words are told as the model writes them down."""
    typed: str = ""
    """What the user wrote instead of speaking."""
    in_conversation: bool = True
    max_output_tokens: int | Literal["inf"] = "inf"
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the client wants back with the response."""


class Response:
    """A reply on its way."""

    def __init__(
        self,
        order: Order,
        parts: Parts,
        facts: Facts,
        conversation: Conversation,
        emit: Emit,
        now: Callable[[], float],
        ahead: Ahead | None = None,
    ) -> None:
        """`ahead` is the answer to that order, if it has been begun."""
        self._ahead = ahead
        self.order, self._parts, self._facts, self._conversation, self._now = order, parts, facts, conversation, now
        self._send = emit
        self.id = new_id("resp")
        self.status: Status = "in_progress"
        self._details: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None
        self._sentences = Sentences()
        self._to_speak: asyncio.Queue[str | None] = asyncio.Queue()
        self._text = ""
        self.spoken = Spoken()
        content = Content("output_audio" if order.speaks else "output_text", "")
        self.item = Item(new_id("item"), "assistant", [content], "in_progress", spoken=self.spoken if order.speaks else None)
        self._opened = False
        self._heard = ""
        self.transcribed = not order.transcribes
        """Whether nothing remains to be told of the user's words."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status != "in_progress"

    def begin(self) -> None:
        """Tell that there will be a reply."""
        self._emit(ResponseTold(type="response.created", response=self.told()))

    async def run(self) -> None:
        """Make the reply. What goes wrong is told in `response.done`."""
        try:
            async with asyncio.TaskGroup() as group:
                if self.order.speaks:
                    group.create_task(self._speak())
                reply = await self._write()
            if reply.finished:
                self.end("completed")
            else:
                self.end("incomplete", reason="max_output_tokens")
        except ExceptionGroup as group:
            self.end("failed", error=told_error(group.exceptions[0], self.order.timeout_s))

    def end(self, status: Status, *, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        """Tell that nothing more comes. What comes later all the same is not told."""
        if self.ended:
            return
        if error and not self.transcribed:
            self._emit(TranscriptionFailed(item_id=self.order.item.id, error=error))
        if self._opened:
            self._close_item("completed" if status == "completed" else "incomplete")
        self.order.clock.mark("done", self._now())
        self.status = status
        self._details = {"type": status, **({"reason": reason} if reason else {}), **({"error": error} if error else {})}
        self._send(ResponseTold(type="response.done", response=self.told()))

    def told(self) -> dict[str, Any]:
        """As the interface has it."""
        emotions = {"x_emotion_user": self.order.item.emotion, "x_emotion_reply": self.item.emotion}
        ours = {name: emotion for name, emotion in emotions.items() if emotion} | (self.order.clock.metadata() if self.ended else {})
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": self.status,
            "status_details": self._details,
            "output": [self.item.told()] if self._opened else [],
            "conversation_id": "conv_default" if self.order.in_conversation else None,
            "output_modalities": ["audio" if self.order.speaks else "text"],
            "max_output_tokens": self.order.max_output_tokens,
            "audio": {"output": {"format": Pcm().model_dump(), "voice": self.order.voice}} if self.order.speaks else None,
            "usage": self._usage,
            "metadata": {**self.order.metadata, **ours},
            "x_latency_ms": self.order.clock.milliseconds(),
        }

    def _emit(self, event: ServerEvent) -> None:
        if not self.ended:
            self._send(event)

    async def _write(self) -> Reply:
        """The answer, told as it is written."""
        question = await self._read_out(self.order.typed) if self.order.typed else self.order.question
        async with aclosing(self._ahead.pieces() if self._ahead else self._parts.answer(question)) as pieces:
            while not isinstance(piece := await asyncio.wait_for(anext(pieces), self.order.timeout_s), Reply):
                self._take(piece)
        self._conclude(piece)
        return piece

    async def _read_out(self, words: str) -> Question:
        """The question in the sound of a voice, for a model that only hears."""
        order = SpeechOrder(words, self.order.voice, self.order.item.emotion or "neutral", self.order.strength, file_format="pcm")
        pcm = await asyncio.wait_for(self._parts.speak(order), self.order.timeout_s)
        return replace(self.order.question, samples=resample(from_pcm16(pcm), RATE_HZ, SAMPLE_RATE_HZ))

    def _take(self, piece: Piece) -> None:
        if piece.field == "user_emotion":
            self._feel(piece.text, None)
        elif piece.field == "transcript":
            self._heard += piece.text
            if not self.transcribed:
                self._emit(TranscriptionDelta(item_id=self.order.item.id, delta=piece.text))
        elif piece.field == "reply_emotion":
            self._transcribe(self._heard.strip())
            self.item.emotion = piece.text
        elif piece.field == "reply":
            self._say(piece.text)

    def _feel(self, emotion: str, scores: dict[str, float] | None) -> None:
        """The emotion of the user is known."""
        if self.order.typed:
            return  # it was the voice that the model has heard
        item, (start_ms, end_ms), who = self.order.item, self.order.heard_ms, self._facts.dialogue_id
        item.emotion = emotion
        told = EmotionDelta(
            item_id=item.id, emotion=emotion, scores=scores, audio_start_ms=start_ms, audio_end_ms=end_ms, model=who, final=True
        )
        self._emit(told)

    def _transcribe(self, words: str) -> None:
        """All words of the user are known."""
        item = self.order.item
        if not item.words and item.content:
            item.content[-1].words = words
        if not self.transcribed and not self.ended:
            self.transcribed = True
            usage = {"type": "duration", "seconds": round(seconds_of(item.pcm), 3)}
            self._emit(TranscriptionCompleted(item_id=item.id, transcript=words, usage=usage))

    def _say(self, words: str) -> None:
        """More words of the reply."""
        self._open()
        self.order.clock.mark("first_text", self._now())
        self._text += words
        kind: Any = "response.output_audio_transcript.delta" if self.order.speaks else "response.output_text.delta"
        self._emit(OutputDelta(type=kind, delta=words, **self._place()))
        if not self.ended:
            self.item.content[0].words = self._text.strip()
        for sentence in self._sentences.write(words):
            self._to_speak.put_nowait(sentence)

    def _conclude(self, reply: Reply) -> None:
        """All that is written is known."""
        answer = reply.answer
        self._transcribe(answer.transcript or "")
        if answer.user_emotion and (reply.user_scores or self.order.item.emotion != answer.user_emotion):
            self._feel(answer.user_emotion, reply.user_scores)
        self.item.emotion = answer.reply_emotion or self.item.emotion
        asked, answered = reply.question_tokens, reply.answer_tokens
        self._usage = {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
        if answer.reply and not self._text:
            self._say(answer.reply)
        for sentence in self._sentences.finish():
            self._to_speak.put_nowait(sentence)
        self._to_speak.put_nowait(None)

    async def _speak(self) -> None:
        """Speak sentences as they come."""
        while (sentence := await self._to_speak.get()) is not None:
            order = SpeechOrder(
                sentence, self.order.voice, self.item.emotion or "neutral", self.order.strength, self.order.speed, file_format="pcm"
            )
            pcm = await asyncio.wait_for(self._parts.speak(order), self.order.timeout_s)
            for part in self.spoken.add(sentence, pcm):
                if self.ended:
                    return
                now_s = self._now()
                self.spoken.begun_s = now_s if self.spoken.begun_s is None else self.spoken.begun_s
                self._emit(OutputDelta(type="response.output_audio.delta", delta=base64.b64encode(part).decode(), **self._place()))
                self.order.clock.hear(self.spoken, now_s)
                self.item.content[0].pcm += part
                await asyncio.sleep(0)  # a user who breaks in is heard between two parts

    def _open(self) -> None:
        if self._opened or self.ended:
            return
        self._opened = True
        self.item.content[0].pcm = bytearray()
        before = self._conversation.add(self.item) if self.order.in_conversation else None
        self._emit(OutputItemTold(type="response.output_item.added", response_id=self.id, item={**self.item.told(), "content": []}))
        if self.order.in_conversation:
            self._emit(ItemTold(type="conversation.item.added", previous_item_id=before, item={**self.item.told(), "content": []}))
        self._emit(PartTold(type="response.content_part.added", part=self._part(""), **self._place()))

    def _close_item(self, status: Literal["completed", "incomplete"]) -> None:
        words = self._text.strip()
        if self.order.speaks:
            self._emit(AudioDone(**self._place()))
            self._emit(TranscriptDone(transcript=words, **self._place()))
        else:
            self._emit(TextDone(text=words, **self._place()))
        self._emit(PartTold(type="response.content_part.done", part=self._part(words), **self._place()))
        self.item.status = status
        self._emit(OutputItemTold(type="response.output_item.done", response_id=self.id, item=self.item.told()))
        if self.order.in_conversation and self._conversation.holds(self.item.id):
            before = self._conversation.before(self.item)
            self._emit(ItemTold(type="conversation.item.done", previous_item_id=before, item=self.item.told()))

    def _place(self) -> dict[str, Any]:
        return {"response_id": self.id, "item_id": self.item.id}

    def _part(self, words: str) -> dict[str, Any]:
        return {"type": "audio", "transcript": words} if self.order.speaks else {"type": "text", "text": words}


def told_error(error: BaseException, timeout_s: float) -> dict[str, Any]:
    """An error as a response tells it; what a client cannot mend goes to the log."""
    if isinstance(error, ApiError):
        return {"type": "server_error", "code": error.code, "message": error.message}
    if isinstance(error, RapportError):
        return {"type": "invalid_request_error", "code": "cannot_answer", "message": str(error)}
    if isinstance(error, TimeoutError):
        return {"type": "server_error", "code": "timeout", "message": f"nothing came for {timeout_s:g} s (answer_timeout_s)"}
    logger.error("unforeseen error in a reply", exc_info=error)
    return {"type": "server_error", "code": "internal_error", "message": "an error of the server, not of your request"}
