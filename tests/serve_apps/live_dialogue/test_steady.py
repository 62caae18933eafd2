"""Calls that outlive the copy that was to answer them."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.queues import queued, queued_items
from rapport.serve_apps.live_dialogue import steady
from rapport.serve_apps.live_dialogue.steady import Steady


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_PAUSE_S", 0.001)


class Copies:
    """A deployment whose first copies are lost: before they answer, or after their first item."""

    def __init__(self, lost: int, *, after_first: bool = False) -> None:
        self.lost, self.after_first, self.asked = lost, after_first, 0

    def handle(self) -> Any:
        def remote(word: str) -> Any:
            self.asked += 1
            return _Call(self.asked <= self.lost, self.after_first, word)

        return SimpleNamespace(say=SimpleNamespace(remote=remote))


class _Call:
    def __init__(self, dies: bool, after_first: bool, word: str) -> None:
        self.dies, self.after_first, self.word = dies, after_first, word

    def __await__(self) -> Any:
        async def result() -> str:
            if self.dies:
                raise ActorDiedError
            return self.word

        return result().__await__()

    async def __aiter__(self) -> AsyncIterator[str]:
        if self.dies and not self.after_first:
            raise ActorDiedError
        yield self.word
        if self.dies:
            raise ActorDiedError
        yield "end"

    def cancel(self) -> None:
        pass


def items(copies: Copies) -> list[str]:
    async def main() -> list[str]:
        return [item async for item in queued_items(Steady(copies.handle()).say.remote("hello"), ends=lambda item: item == "end")]

    return asyncio.run(main())


async def result(copies: Copies) -> Any:
    return await queued(Steady(copies.handle()).say.remote("hello"))


def test_another_copy_is_asked() -> None:
    copies = Copies(3)
    assert asyncio.run(result(copies)) == "hello"
    assert copies.asked == 4
    assert items(Copies(3)) == ["hello", "end"]


def test_when_all_are_lost_that_is_told() -> None:
    copies = Copies(100)
    with pytest.raises(ApiError, match="ask again") as lost:
        asyncio.run(result(copies))
    assert (lost.value.status, copies.asked) == (503, 5)


def test_what_has_begun_is_not_begun_again() -> None:
    copies = Copies(100, after_first=True)
    with pytest.raises(ApiError, match="ask again"):
        items(copies)
    assert copies.asked == 1
