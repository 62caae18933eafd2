"""Heads that follow voices: what they see is the model's motion, also when their copy of the model goes away."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rapport.core.audio import from_pcm16, resample
from rapport.core.pose import PoseFrame
from rapport.models.listener.pretrained import from_pretrained
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.live_dialogue import heads as module
from rapport.serve_apps.live_dialogue.heads import Head, Heads
from tests.serve_apps.live_dialogue.conftest import Handle


def followed(copy: list[Any], pieces: list[bytes], wanted: int, between: Callable[[int], None] = lambda _: None) -> list[PoseFrame]:
    """The first poses of a head that hears pieces of sound."""

    async def main() -> list[PoseFrame]:
        handle: Any = Handle(copy)
        head = await Head.open(handle, None, None)
        assert head.rate_hz == 30
        frames: list[PoseFrame] = []

        async def read() -> None:
            async for poses in head.poses():
                frames.extend(poses)
                if len(frames) >= wanted:
                    return

        reading = asyncio.create_task(read())
        for number, piece in enumerate(pieces):
            between(number)
            head.hear(piece)
            await asyncio.sleep(0.02)
        await asyncio.wait_for(reading, 30)
        await head.close()
        await asyncio.sleep(0.05)
        assert all(not heads._following for heads in copy), "the place is free again"
        return frames

    return asyncio.run(main())


def pieces_of(pcm: bytes, seconds: float = 0.1) -> list[bytes]:
    size = round(seconds * 24_000) * 2
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]


def test_a_head_moves_as_the_model_does(heads: Callable[[], Heads], listener_model, pcm24) -> None:
    pcm = pcm24(3.0)
    frames = followed([heads()], pieces_of(pcm), 80)
    expected = from_pretrained(listener_model).predict(resample(from_pcm16(pcm), 24_000, 16_000))
    times_s = np.array([frame.time_s for frame in frames])
    assert np.allclose(times_s, (np.arange(len(frames)) + 1) / 30, atol=1e-5)
    difference = np.abs(np.array([frame[1:] for frame in frames])[:80] - expected[:80])
    assert difference.mean() < 0.2, "two resamplers agree nearly"


def test_when_its_copy_goes_away_a_head_goes_on_in_another(heads: Callable[[], Heads], pcm24) -> None:
    copy = [heads()]

    def exchange(piece: int) -> None:
        if piece == 15:
            copy[0] = heads()

    frames = followed(copy, pieces_of(pcm24(5.0)), 120, exchange)
    times_s = np.array([frame.time_s for frame in frames])
    gaps_s = np.diff(times_s)
    assert gaps_s.min() > 0
    assert (gaps_s > 0.04).sum() == 1, "one gap, while nobody was there"
    assert times_s[-1] == pytest.approx((len(frames) - 1) / 30 + gaps_s.max(), abs=0.05), "and then the voice is where it is"


def test_a_head_whose_voice_is_gone_gives_its_place_back(heads: Callable[[], Heads], pcm24) -> None:
    copy = heads()
    pool = copy._engine.sessions()
    pool.settings = pool.settings.model_copy(update={"gone_after_s": 0.6})

    async def main() -> None:
        poses = copy.follow("a voice", {"sample_rate_hz": 24_000})
        await anext(poses)
        assert await copy.hear("a voice", pcm24(0.5))
        with pytest.raises(ApiError, match="gone_after_s"):
            await asyncio.wait_for(_all(poses), 20)
        assert pool.taken == 0
        assert not await copy.hear("a voice", b"")

    asyncio.run(main())


def test_a_voice_that_says_nothing_keeps_its_head(heads: Callable[[], Heads], pcm24, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AWAKE_S", 0.1)
    copy = heads()
    pool = copy._engine.sessions()
    pool.settings = pool.settings.model_copy(update={"gone_after_s": 0.5})

    async def main() -> None:
        head = await Head.open(_handle(copy), None, None)
        reading: asyncio.Future[Any] = asyncio.ensure_future(anext(head.poses()))
        await asyncio.sleep(1.2)
        assert pool.taken == 1
        for piece in pieces_of(pcm24(0.5)):
            head.hear(piece)
        assert (await asyncio.wait_for(reading, 20))[0].time_s == pytest.approx(1 / 30, abs=1e-5)
        await head.close()

    asyncio.run(main())


def _handle(copy: Heads) -> Any:
    return Handle([copy])


async def _all(poses: Any) -> None:
    async for _ in poses:
        pass


def test_a_full_house_is_told(heads: Callable[[], Heads], pcm24) -> None:
    copy = heads()
    copy._engine.sessions().settings = copy._engine.sessions().settings.model_copy(update={"max_sessions": 1})

    async def main() -> None:
        handle: Any = Handle([copy])
        first = await Head.open(handle, None, None)
        with pytest.raises(ApiError, match="max_sessions"):
            await Head.open(handle, None, None)
        await first.close()
        await asyncio.sleep(0.05)
        second = await Head.open(handle, None, None)
        await second.close()

    asyncio.run(main())
