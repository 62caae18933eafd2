"""Several callers of one service answered in one batch, none of them the worse for it."""

from collections.abc import Sequence
from typing import TypeVar

from rapport.simulator.requests import Request, Result, Service

R = TypeVar("R", bound=Request)


def answer_callers(service: Service[R], asked: Sequence[Sequence[R]]) -> list[list[Result] | Exception]:
    """What each caller asked, answered in one batch.

    When that fails, each caller is answered alone, and gets the error where it was their own request that the service failed on.
    """
    together = [request for requests in asked for request in requests]
    try:
        results = iter(service.batch(together) if together else [])
    except Exception as error:
        if len(asked) == 1:
            return [error]
        return [found for requests in asked for found in answer_callers(service, [requests])]
    return [[next(results) for _ in requests] for requests in asked]
