"""A service that runs elsewhere, as those see it who ask."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from ray.exceptions import RayTaskError

from rapport.core.errors import RapportError
from rapport.simulator.requests import Request, Result

R = TypeVar("R", bound=Request)

Answer = Callable[[], list[Result]]
"""Waits for the answer to a call that is under way."""


class Identity(NamedTuple):
    """What a cache must know of a service that runs elsewhere."""

    version: str
    deterministic: bool
    unread: tuple[str, ...]
    """Fields of a request that it does not read."""


class RemoteService(Generic[R]):
    """A `rapport.simulator.requests.Service` over several copies elsewhere, each of which answers a share of a batch."""

    def __init__(self, identity: Identity, copies: Sequence[Callable[[Sequence[R]], Answer]]) -> None:
        """`copies` begin a call each."""
        self.version, self.deterministic, self.unread = identity
        self._copies = copies
        self._next = 0

    def batch(self, requests: Sequence[R]) -> list[Result]:
        """As the service itself. Raises its errors, and Ray's when it is gone for good."""
        shares = min(len(self._copies), len(requests))
        bounds = [len(requests) * share // shares for share in range(shares + 1)] if shares else []
        # Small batches of many callers must not all meet at the first copy.
        first, self._next = self._next, (self._next + shares) % len(self._copies)
        calls = [self._copies[(first + share) % len(self._copies)](requests[bounds[share] : bounds[share + 1]]) for share in range(shares)]
        return [_own(result) for call in calls for result in own_errors(call)]


def own_errors(call: Callable[[], Any]) -> Any:
    """The result of a call of another process; an error that a user can mend comes without the other process's stack trace."""
    try:
        return call()
    except RayTaskError as error:
        if isinstance(error.cause, RapportError):
            raise error.cause from None
        raise


def _own(result: Result) -> Result:
    """A copy in this process: what Ray hands out lies in its store, and would keep the whole batch there."""
    return np.array(result) if isinstance(result, np.ndarray) else result
