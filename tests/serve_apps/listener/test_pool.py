"""Many sessions on one model, with a clock that the test turns."""

import asyncio

import pytest

from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.listener import pool as pool_module
from rapport.serve_apps.listener.messages import Start
from rapport.serve_apps.listener.pool import SessionPool
from rapport.serve_apps.listener.settings import StreamSettings

START = Start(type="start")


def test_there_are_so_many_places_and_no_more(motion_model) -> None:
    pool = SessionPool(motion_model, StreamSettings(max_sessions=2))
    with pool.place(), pool.place():
        with pytest.raises(ApiError, match="max_sessions") as caught, pool.place():
            pass
        assert caught.value.status == 429
        assert caught.value.headers["Retry-After"] == "2"
    assert pool.taken == 0


def test_what_cannot_be_opened_takes_no_session(motion_model) -> None:
    async def test() -> None:
        pool = SessionPool(motion_model, StreamSettings())
        with pytest.raises(ApiError) as caught:
            await pool.open(Start(type="start", token="nonsense"))
        assert caught.value.status == 400

    asyncio.run(test())


def test_those_that_are_gone_are_ended_and_the_others_go_on(motion_model, pcm) -> None:
    now_s = 50.0

    async def test() -> None:
        nonlocal now_s
        pool = SessionPool(motion_model, StreamSettings(gone_after_s=4, tick_s=0.05), clock=lambda: now_s)
        gone, there = await pool.open(START), await pool.open(START)
        now_s += 3
        there.hear(pcm(0.5), now_s)
        now_s += 2
        await pool.round()
        assert isinstance(gone.ended.exception(), ApiError)
        assert not there.ended.done()
        message = await anext(aiter(there.messages()))
        assert len(message["frames"]) > 10
        pool.close(there)

    asyncio.run(test())


def test_an_error_that_nobody_foresaw_ends_the_sessions_of_the_round_alone(motion_model, pcm, monkeypatch) -> None:
    async def test() -> None:
        pool = SessionPool(motion_model, StreamSettings(tick_s=0.05))
        hit, spared = await pool.open(START), await pool.open(START)
        hit.hear(pcm(0.1), pool.clock())
        with monkeypatch.context() as patch:
            patch.setattr(pool_module, "move", lambda works: 1 / 0)
            await pool.round()
        assert isinstance(hit.ended.exception(), ZeroDivisionError)
        spared.hear(pcm(0.2), pool.clock())
        await pool.round()
        assert (await anext(aiter(spared.messages())))["frames"]
        pool.close(spared)

    asyncio.run(test())


@pytest.mark.parametrize("method", ["due", "give", "is_gone"])
def test_an_error_in_a_session_ends_it_alone(motion_model, pcm, monkeypatch, method: str) -> None:
    async def test() -> None:
        pool = SessionPool(motion_model, StreamSettings(tick_s=0.05))
        hit, spared = await pool.open(START), await pool.open(START)
        monkeypatch.setattr(hit, method, lambda *given: 1 / 0)
        for session in (hit, spared):
            session.hear(pcm(0.2), pool.clock())
        await pool.round()
        assert isinstance(hit.ended.exception(), ZeroDivisionError)
        assert (await anext(aiter(spared.messages())))["frames"]
        pool.close(spared)

    asyncio.run(test())


def test_an_error_in_a_round_ends_its_sessions_and_the_next_ones_move(motion_model, pcm, monkeypatch, caplog) -> None:
    async def test() -> None:
        pool = SessionPool(motion_model, StreamSettings(tick_s=0))
        with monkeypatch.context() as patch:
            patch.setattr(pool, "round", lambda: 1 / 0)
            hit = await pool.open(START)
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(asyncio.shield(hit.ended), 60)
        session = await pool.open(START)
        session.hear(pcm(0.3), pool.clock())
        assert (await asyncio.wait_for(anext(aiter(session.messages())), 60))["frames"]
        pool.close(session)

    asyncio.run(test())


def test_what_moves_cost_is_told(motion_model, pcm) -> None:
    now_s = 50.0
    told: list[tuple[float | None, float]] = []

    async def test() -> None:
        nonlocal now_s
        settings = StreamSettings(max_waiting_s=1, tick_s=0.05)
        pool = SessionPool(motion_model, settings, clock=lambda: now_s, meter=lambda *told_now: told.append(told_now))
        session = await pool.open(START)
        session.hear(pcm(1.5), now_s)
        now_s += 0.01
        await pool.round()
        session.wish("state", now_s)
        await pool.round()
        pool.close(session)

    asyncio.run(test())
    assert told == [(pytest.approx(10), pytest.approx(0.5)), (None, 0)]


def test_rounds_end_with_the_last_session_and_begin_with_the_next(motion_model, pcm) -> None:
    async def test() -> None:
        pool = SessionPool(motion_model, StreamSettings(tick_s=0))
        for _ in range(2):
            session = await pool.open(START)
            session.hear(pcm(0.3), pool.clock())
            pool.hurry()
            assert (await asyncio.wait_for(anext(aiter(session.messages())), 20))["frames"]
            pool.close(session)
            assert pool._rounds is not None
            await asyncio.wait_for(pool._rounds, 20)

    asyncio.run(test())
