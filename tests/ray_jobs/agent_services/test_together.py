"""Callers who come while a service is busy share its next batch."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from rapport.ray_jobs.agent_services.together import Together
from rapport.simulator.requests import HearingRequest, Result


class Slow:
    """Answers when it is let; fails on what is negative."""

    version, deterministic = "1", True

    def __init__(self) -> None:
        self.go = threading.Event()
        self.sizes: list[int] = []

    def batch(self, requests: Sequence[HearingRequest]) -> list[Result]:
        self.go.wait(30)
        self.sizes.append(len(requests))
        if any(request.waveform[0] < 0 for request in requests):
            raise ValueError("negative")
        return [str(int(request.waveform[0])) for request in requests]


def clips(*values: int) -> list[HearingRequest]:
    return [HearingRequest(np.array([value], np.float32), 16_000) for value in values]


async def asked(service: Slow, *batches: Sequence[HearingRequest], most: int = 100) -> list[list[Result] | BaseException]:
    together = Together(service, most)
    calls = [asyncio.create_task(together.batch(batch)) for batch in batches]
    await asyncio.sleep(0.05)
    service.go.set()
    return await asyncio.gather(*calls, return_exceptions=True)


def test_who_waits_is_answered_together_in_order_and_within_the_limit() -> None:
    service = Slow()
    found = asyncio.run(asked(service, clips(0), clips(1, 2), clips(3), clips(4, 5, 6), clips(7), most=4))
    assert found == [["0"], ["1", "2"], ["3"], ["4", "5", "6"], ["7"]]
    # All had come before the first batch began to be gathered; the order is never changed to fill one.
    assert service.sizes == [4, 4]


def test_a_batch_larger_than_the_limit_is_not_split() -> None:
    service = Slow()
    assert asyncio.run(asked(service, clips(1, 2, 3), clips(4), most=2)) == [["1", "2", "3"], ["4"]]
    assert service.sizes == [3, 1]


def test_an_error_reaches_its_caller_and_the_next_are_answered() -> None:
    good, bad = asyncio.run(asked(Slow(), clips(1), clips(-1)))
    assert good == ["1"]
    assert isinstance(bad, ValueError)


def test_a_caller_who_left_does_not_stop_the_others() -> None:
    async def main() -> list[Result]:
        service = Slow()
        together = Together(service, 100)
        gone = asyncio.create_task(together.batch(clips(1)))
        stays = asyncio.create_task(together.batch(clips(2)))
        await asyncio.sleep(0.05)
        gone.cancel()
        service.go.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert await together.batch(clips(3)) == ["3"]
        return await stays

    assert asyncio.run(main()) == ["2"]
