"""An answer that is begun before it is certain that the user has finished: whether a turn is over shows later than how it sounds."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from rapport.models.emosds.answer import Piece
from rapport.models.emosds.dialogue import Question, Reply
from rapport.serve_apps.realtime.parts import Parts


class Ahead:
    """One answer on its way that nobody has asked for yet. What goes wrong meanwhile is told to nobody: who wants an answer asks again."""

    def __init__(self, question: Question, parts: Parts) -> None:
        self._question = question
        self._failed = False
        self._written: asyncio.Queue[Piece | Reply | Exception] = asyncio.Queue()
        self._task = asyncio.create_task(self._write(parts))

    def answers(self, question: Question) -> bool:
        """Whether that is what is being answered, and nothing has gone wrong so far."""
        if self._failed:
            return False
        return np.array_equal(self._question.samples, question.samples) and _settings(self._question) == _settings(question)

    async def pieces(self) -> AsyncGenerator[Piece | Reply]:
        """The answer as `Parts.answer` has it. Who leaves it ends it."""
        try:
            while True:
                piece = await self._written.get()
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.drop()

    def drop(self) -> None:
        """Nobody wants it."""
        self._task.cancel()

    async def _write(self, parts: Parts) -> None:
        try:
            async with aclosing(parts.answer(self._question)) as pieces:
                async for piece in pieces:
                    self._written.put_nowait(piece)
        except Exception as error:
            self._failed = True
            self._written.put_nowait(error)


def _settings(question: Question) -> tuple[object, ...]:
    return question.history, question.replies, question.generation, question.seed
