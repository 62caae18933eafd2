"""A session without a network: parts that answer as they are told, a clock that is set by hand, and a client that says JSON."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from rapport.core.audio import resample, to_pcm16
from rapport.core.pose import PoseFrame
from rapport.models.emosds.answer import EMOTIONS, Answer, Piece
from rapport.models.emosds.dialogue import EngineFacts, Question, Reply
from rapport.serve_apps.realtime.parts import Facts
from rapport.serve_apps.realtime.session import RealtimeSession
from rapport.serve_apps.realtime.settings import RealtimeSettings
from rapport.serve_apps.spoken_dialogue.voices import SpeechOrder

HEARD, SAID = "I missed the last bus.", "That is rough. Shall I look for a night train?"
ALL = Facts(EngineFacts(EMOTIONS, True, "scripted", 3), ("alloy", "echo"), emotion=True, transcriber=True, head_motion=True)


class FakeHead:
    """Thirty poses a second of what it hears."""

    rate_hz = 30.0

    def __init__(self) -> None:
        self.heard = bytearray()
        self.closed = asyncio.Event()
        self._news = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        self.heard += pcm
        self._news.set()

    async def poses(self) -> AsyncIterator[list[PoseFrame]]:
        told = 0
        while not self.closed.is_set():
            await self._news.wait()
            self._news.clear()
            due = len(self.heard) // 2 * 30 // 24_000
            if due > told:
                yield [PoseFrame((frame + 1) / 30, 1.0, 2.0, 3.0) for frame in range(told, due)]
            told = due

    async def close(self) -> None:
        self.closed.set()


class FakeParts:
    """`Parts` by the book. `gate` holds answers back until it is set; `broken` names parts that fail."""

    def __init__(self, sentence_s: float = 1.0) -> None:
        self.sentence_s = sentence_s
        self.gate = asyncio.Event()
        self.gate.set()
        self.half = asyncio.Event()
        self.half.set()
        self.broken: dict[str, Exception] = {}
        self.asked: list[Question] = []
        self.spoken: list[SpeechOrder] = []
        self.heads: list[FakeHead] = []
        self.looked_s: list[float] = []
        self.left = 0

    async def emotion(self, samples: np.ndarray) -> dict[str, float]:
        self._fail("emotion")
        self.looked_s.append(len(samples) / 16_000)
        return {"neutral": 0.25, "sad": 0.75}

    async def transcribe(self, samples: np.ndarray) -> str:
        self._fail("transcribe")
        return "the transcriber heard this"

    async def answer(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        self.asked.append(question)
        try:
            self._fail("answer")
            await self.gate.wait()
            yield Piece("user_emotion", "sad")
            for word in HEARD.split(" "):
                yield Piece("transcript", f"{word} ")
            if question.replies:
                yield Piece("reply_emotion", "neutral")
                yield Piece("reply", "That is rough. ")
                await self.half.wait()
                yield Piece("reply", SAID.removeprefix("That is rough. "))
            answer = Answer("sad", HEARD, *(("neutral", SAID) if question.replies else ()))
            yield Reply(answer, question.generation.max_new_tokens > 20, 120, 24)
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise

    async def speak(self, order: SpeechOrder) -> bytes:
        self._fail("speak")
        self.spoken.append(order)
        silence, sound = np.zeros(2_400, np.int16), np.full(round(self.sentence_s * 24_000) - 2_400, 5_000, np.int16)
        return np.concatenate([silence, sound]).astype("<i2").tobytes()

    async def head(self, rate_hz: float | None, seed: int | None) -> FakeHead:
        self._fail("head")
        self.heads.append(FakeHead())
        return self.heads[-1]

    def _fail(self, part: str) -> None:
        if part in self.broken:
            raise self.broken[part]


class Talk:
    """A session, its clock, and what it has said so far."""

    def __init__(self, parts: FakeParts, facts: Facts, settings: RealtimeSettings) -> None:
        self.parts = parts
        self.now_s = 100.0
        self.session = RealtimeSession(parts, facts, settings, model="emosds", now=lambda: self.now_s)
        self.events: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self.session.texts():
            self.events.append(json.loads(text))

    def say(self, kind: str, **fields: Any) -> None:
        self.session.receive(json.dumps({"type": kind, **fields}))

    def append(self, pcm: bytes) -> None:
        self.say("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def speak(self, pcm: bytes, piece_s: float = 0.1) -> None:
        """Sound at the pace of the clock."""
        size = round(piece_s * 24_000) * 2
        for start in range(0, len(pcm), size):
            self.now_s += piece_s
            self.append(pcm[start : start + size])
            await self.settle()

    async def settle(self, turns: int = 60) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def until(self, kind: str) -> dict[str, Any]:
        """The newest event of a kind, once there is one that was not there before."""
        known = len(self.of(kind))

        async def wait() -> None:
            while len(self.of(kind)) <= known:
                await asyncio.sleep(0.001)

        if not known:
            await asyncio.wait_for(wait(), 20)
        return self.of(kind)[-1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def close(self) -> None:
        await self.session.close()
        with suppress(asyncio.CancelledError):
            await self._reading

    def stop_reading(self) -> None:
        """Take nothing more of what the session says."""
        self._reading.cancel()


@pytest.fixture(scope="session")
def speech(voice: Callable[..., np.ndarray]) -> Callable[..., bytes]:
    """Something voiced between two silences, 24 kHz."""

    def make(seconds: float = 1.0, before_s: float = 0.3, after_s: float = 0.8, seed: int = 0) -> bytes:
        loud = voice(seconds, seed)
        samples = np.concatenate([np.zeros(round(before_s * 16_000)), loud, np.zeros(round(after_s * 16_000))]).astype(np.float32)
        return to_pcm16(resample(samples, 16_000, 24_000)).astype("<i2").tobytes()

    return make


@pytest.fixture
def talk() -> Callable[..., None]:
    """Runs a test of a session that has begun."""

    def run(test: Callable[[Talk], Awaitable[None]], *, facts: Facts = ALL, sentence_s: float = 1.0, **settings: Any) -> None:
        async def main() -> None:
            session = Talk(FakeParts(sentence_s), facts, RealtimeSettings(**settings))
            session.session.begin()
            await session.settle()
            try:
                await test(session)
            finally:
                await session.close()

        asyncio.run(main())

    return run
