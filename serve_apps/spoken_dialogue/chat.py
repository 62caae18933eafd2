"""A conversation that ends in speech, answered whole or as a stream of chunks."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Turn
from rapport.core.sound_files import FileFormat
from rapport.models.emosds.answer import Piece, split_tag
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question, Reply
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.uploads import SpeechDecoder
from rapport.serve_apps.http.waiting import asked, in_time
from rapport.serve_apps.spoken_dialogue.answers import (
    ChatAnswer,
    Choice,
    DialogueService,
    Emotions,
    ReplyAudio,
    ReplyMessage,
    Usage,
    chunk,
)
from rapport.serve_apps.spoken_dialogue.requests import AudioOut, ChatRequest, Message, name_of
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder

T = TypeVar("T")

# A multiple of 3, so that the base64 of the parts, joined, is that of the file.
_AUDIO_PART = 24_576
_SHORTEST_ANSWER = 16


@dataclass(frozen=True, slots=True)
class Conversations:
    """Answers conversations with a service."""

    service: DialogueService
    settings: DialogueSettings
    decoder: SpeechDecoder

    async def answer(self, request: ChatRequest, history_turns: int) -> ChatAnswer:
        """The answer as a whole. Raises ApiError for everything that the client can mend."""
        question = await self._question(request, history_turns)
        reply = await self._in_time(self.service.reply(question))
        head = self._head("chat.completion")
        answer, words = reply.answer, reply.answer.reply or ""
        audio = None
        if request.speaks and words:
            data = base64.b64encode(await self._speech(request, words, answer.reply_emotion)).decode()
            audio = ReplyAudio(id=_audio_id(head), data=data, expires_at=head["created"], transcript=words)
        message = ReplyMessage(content=words, audio=audio, x_emotion=answer.reply_emotion)
        return ChatAnswer(
            **head,
            choices=[Choice(message=message, finish_reason=_finish(reply))],
            usage=Usage.of(reply),
            x_emotion=Emotions(user=answer.user_emotion, reply=answer.reply_emotion),
            x_transcript=answer.transcript or "",
        )

    async def stream(self, request: ChatRequest, history_turns: int) -> AsyncIterator[dict[str, Any]]:
        """The answer in chunks: emotions when they are known, words of the transcript and the reply as they are written, then speech.

        Raises ApiError for everything that the client can mend, before the first chunk.
        """
        question = await self._question(request, history_turns)
        head = self._head("chat.completion.chunk")
        emotions, reply = Emotions(), None
        opening: dict[str, Any] = {"role": "assistant", "content": ""}
        async with aclosing(self.service.stream(question)) as items:
            while reply is None:
                item = await self._in_time(anext(items))
                if opening:
                    yield chunk(head, opening)
                    opening = {}
                if isinstance(item, Reply):
                    reply = item
                else:
                    emotions = _with(emotions, item)
                    yield _told(head, item, emotions)
        answer = reply.answer
        if request.speaks and answer.reply:
            speech = await self._speech(request, answer.reply, answer.reply_emotion)
            for part in _audio_parts(speech, answer.reply, _audio_id(head), head["created"]):
                yield chunk(head, {"audio": part})
        final = {"user": answer.user_emotion, "reply": answer.reply_emotion}
        yield chunk(head, {}, _finish(reply), x_emotion=final, x_transcript=answer.transcript or "")
        if request.stream_options and request.stream_options.include_usage:
            yield {**head, "choices": [], "usage": Usage.of(reply).model_dump()}

    async def _speech(self, request: ChatRequest, words: str, emotion: str | None) -> bytes:
        out = request.audio or AudioOut()
        kind = cast(FileFormat, "pcm" if out.format == "pcm16" else out.format)
        voice, strength = name_of(out.voice, self.settings.voice), self.settings.emotion_strength
        order = SpeechOrder(words, voice, emotion or "neutral", strength, file_format=kind)
        return await self._in_time(self.service.speak(order))

    async def _in_time(self, work: Awaitable[T]) -> T:
        return await in_time(asked(work), self.settings.requests.request_timeout_s)

    async def _question(self, request: ChatRequest, history_turns: int) -> Question:
        self._check(request.messages)
        *before, last = request.messages
        recordings = last.recordings
        if last.role != "user" or len(recordings) != 1:
            found = f"{len(recordings)} recordings from the {last.role}" if recordings or last.role != "user" else "words alone"
            message = f"the last message holds {found}: wanted one part of type input_audio from the user"
            raise ApiError(400, message, param=f"messages.{len(before)}.content", code="no_speech")
        turns = [(number, message) for number, message in enumerate(before) if message.role in (USER, ASSISTANT)]
        recent = turns[max(0, len(turns) - history_turns) :]
        speech = await self.decoder.read_base64(recordings[0].data, f"messages.{len(before)}.content")
        history = await asyncio.gather(*(self._turn(message, f"messages.{number}.content") for number, message in recent))
        return Question(speech.samples, tuple(history), generation=self._generation(request), seed=_seed(request))

    def _check(self, messages: Sequence[Message]) -> None:
        if len(messages) > self.settings.max_messages:
            message = f"there are {len(messages)} messages, the limit is {self.settings.max_messages} (max_messages)"
            raise ApiError(400, f"{message}: the model reads the last few", param="messages", code="too_many_messages")
        longest = self.settings.max_message_characters
        for number, turn in enumerate(messages):
            if len(turn.text) > longest:
                message = f"the message has {len(turn.text):,} characters, the limit is {longest:,} (max_message_characters)"
                raise ApiError(400, message, param=f"messages.{number}.content", code="message_too_long")

    async def _turn(self, message: Message, param: str) -> Turn:
        """An earlier turn; one that was spoken and comes without its words is heard once more."""
        emotion, text = split_tag(message.text)
        emotion = message.x_emotion or emotion
        if not text and message.recordings:
            speech = await self.decoder.read_base64(message.recordings[-1].data, param)
            heard: Reply = await self._in_time(self.service.reply(Question(speech.samples, replies=False)))
            return Turn(USER, heard.answer.transcript or "", emotion or heard.answer.user_emotion)
        return Turn(USER if message.role == USER else ASSISTANT, text, emotion)

    def _generation(self, request: ChatRequest) -> GenerationConfig:
        asked_for = min(x for x in (request.max_tokens, request.max_completion_tokens, self.settings.max_answer_tokens) if x is not None)
        return GenerationConfig(
            constrained=True,
            max_new_tokens=max(_SHORTEST_ANSWER, asked_for),  # an answer of fewer could not hold its four fields
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None or not request.temperature else request.top_p,
        )

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": self.settings.model_id}


def _seed(request: ChatRequest) -> int:
    if not request.temperature:
        return 0
    return secrets.randbits(32) if request.seed is None else request.seed


def _with(emotions: Emotions, piece: Piece) -> Emotions:
    changed = {"user_emotion": {"user": piece.text}, "reply_emotion": {"reply": piece.text}}.get(piece.field, {})
    return emotions.model_copy(update=changed)


def _told(head: dict[str, Any], piece: Piece, emotions: Emotions) -> dict[str, Any]:
    """The chunk that tells a piece."""
    if piece.field == "reply":
        return chunk(head, {"content": piece.text})
    if piece.field == "transcript":
        return chunk(head, {}, x_transcript_delta=piece.text)
    return chunk(head, {"x_emotion": piece.text} if piece.field == "reply_emotion" else {}, x_emotion=emotions.model_dump())


def _finish(reply: Reply) -> Any:
    return "stop" if reply.finished else "length"


def _audio_id(head: dict[str, Any]) -> str:
    return f"audio_{str(head['id']).partition('-')[2]}"


def _audio_parts(data: bytes, words: str, name: str, expires_at: int) -> list[dict[str, Any]]:
    """Deltas of `audio`: who it is and its words, the file in parts, and the end."""
    parts = [{"data": base64.b64encode(data[start : start + _AUDIO_PART]).decode()} for start in range(0, len(data), _AUDIO_PART)]
    return [{"id": name, "transcript": words}, *parts, {"expires_at": expires_at}]
