"""The user's words: from the transcriber beside the dialogue model, or from that model where nobody asks it to answer."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from rapport.core.audio import SAMPLE_RATE_HZ, from_pcm16, resample
from rapport.core.errors import RapportError
from rapport.models.emosds.dialogue import Question, Reply
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.realtime.conversation import Item
from rapport.serve_apps.realtime.input_audio import seconds_of
from rapport.serve_apps.realtime.parts import Facts, Parts
from rapport.serve_apps.realtime.server_events import ServerEvent, TranscriptionCompleted, TranscriptionDelta, TranscriptionFailed
from rapport.serve_apps.realtime.session_config import RATE_HZ, SessionConfig
from rapport.serve_apps.realtime.settings import RealtimeSettings

logger = logging.getLogger("ray.serve")

_AT_ONCE = 4


class Transcribing:
    """Tells the words of turns."""

    def __init__(self, parts: Parts, facts: Facts, settings: RealtimeSettings, emit: Callable[[ServerEvent], None]) -> None:
        self._parts, self._facts, self._settings, self._emit = parts, facts, settings, emit
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun: set[str] = set()  # names of the turns whose words are being written down here

    def who(self, config: SessionConfig) -> str | None:
        """Who tells the words by these settings; None where nobody does."""
        wanted, facts = config.audio.input.transcription, self._facts
        if wanted is None:
            return None
        own, other = (facts.dialogue_id if facts.dialogue else None), (facts.transcriber_id if facts.transcriber else None)
        # Any other name, such as one of OpenAI's, means the transcriber.
        return own or other if wanted.model in (None, facts.dialogue_id) else other or own

    def is_due(self, item: Item, config: SessionConfig) -> bool:
        """Whether an answer of the dialogue model is to tell the words of a turn."""
        return self.who(config) == self._facts.dialogue_id and item.id not in self._begun and not item.words

    def begin(self, item: Item, config: SessionConfig, *, answered: bool, begun: bool = False) -> None:
        """Write down a turn, unless the dialogue model does so while it answers.

        Of one that it has `begun` and not ended, the words have been told in part, and are told now as a whole.
        """
        who = self.who(config)
        if who is None or (answered and who == self._facts.dialogue_id):
            return
        if len(self._tasks) >= _AT_ONCE:
            self._fail(item, "too many turns wait to be written down", "server_busy")
            return
        self._begun.add(item.id)
        task = asyncio.create_task(self._write(item, who, in_parts=not begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._begun.discard(item.id))

    def stop(self) -> None:
        """Write no more."""
        for task in self._tasks:
            task.cancel()

    async def _write(self, item: Item, who: str, in_parts: bool) -> None:
        samples = resample(from_pcm16(item.pcm), RATE_HZ, SAMPLE_RATE_HZ)
        try:
            if who == self._facts.transcriber_id:
                words = await asyncio.wait_for(self._parts.transcribe(samples), self._settings.answer_timeout_s)
                if words and in_parts:
                    self._emit(TranscriptionDelta(item_id=item.id, delta=words))
            else:
                words = await self._by_model(item, Question(samples, replies=False), in_parts)
        except (RapportError, ApiError) as error:
            self._fail(item, str(error), "cannot_transcribe")
        except TimeoutError:
            self._fail(item, f"nothing came for {self._settings.answer_timeout_s:g} s (answer_timeout_s)", "timeout")
        except Exception:
            logger.exception("unforeseen error in a transcription")
            self._fail(item, "an error of the server, not of your request", "internal_error")
        else:
            item.content[-1].words = words
            usage = {"type": "duration", "seconds": round(seconds_of(item.pcm), 3)}
            self._emit(TranscriptionCompleted(item_id=item.id, transcript=words, usage=usage))

    async def _by_model(self, item: Item, question: Question, in_parts: bool) -> str:
        async with aclosing(self._parts.answer(question)) as pieces:
            while not isinstance(piece := await asyncio.wait_for(anext(pieces), self._settings.answer_timeout_s), Reply):
                if piece.field == "transcript" and in_parts:
                    self._emit(TranscriptionDelta(item_id=item.id, delta=piece.text))
        item.emotion = piece.answer.user_emotion or item.emotion
        return piece.answer.transcript or ""

    def _fail(self, item: Item, message: str, code: str) -> None:
        self._emit(TranscriptionFailed(item_id=item.id, error={"type": "server_error", "code": code, "message": message}))
