"""Answers of a service that are kept: in memory, and in a folder that other processes and later runs share.

    judge = Cached(judge, memory_mib=64, folder="~/rapport/caches/simulator")
    judge.batch(requests)
    judge.stats.hit_rate

An answer is found by what was asked of whom: the service's version and the request. So a folder is never stale, and may be shared by any
number of runs with any settings.
"""

import io
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Generic, TypeVar

import numpy as np

from rapport.core import storage
from rapport.simulator.request_keys import RequestKeys
from rapport.simulator.requests import KINDS, Failure, Request, Result, Service, Services

R = TypeVar("R", bound=Request)

_TEXT_OVERHEAD = 200  # bytes of bookkeeping of an answer in memory


@dataclass
class CacheStats:
    """Where the answers came from."""

    asked: int = 0
    """Requests."""
    memory: int = 0
    """Answered from memory, or by an equal request of the same batch."""
    disk: int = 0
    """Answered from the folder."""
    answered: int = 0
    """Answered by the service itself."""

    @property
    def hit_rate(self) -> float:
        """Share of requests that the service was spared; 0 before the first."""
        return (self.memory + self.disk) / self.asked if self.asked else 0.0

    def report(self) -> dict[str, float]:
        """All of it under flat names."""
        return {**asdict(self), "hit_rate": self.hit_rate}


class Cached(Generic[R]):
    """A service that asks another one only for what it has not answered yet. Answers that are arrays cannot be written to: they are shared.

    A service that is not deterministic is asked each time, and what failed is asked again. A service may name the fields of a request that
    it does not read in `unread`; requests that differ in those alone are equal. Safe to use from several threads.
    """

    def __init__(self, service: Service[R], *, memory_mib: float = 256.0, folder: str = "") -> None:
        self.service = service
        self.stats = CacheStats()
        self._memory: OrderedDict[str, Result] = OrderedDict()
        self._room = int(memory_mib * 2**20)
        self._folder = folder
        self._turn = threading.Lock()
        self._keys = RequestKeys(unread_by(service))

    @property
    def version(self) -> str:
        """The version of the service behind it."""
        return self.service.version

    @property
    def deterministic(self) -> bool:
        """Whether the service behind it is."""
        return self.service.deterministic

    def batch(self, requests: Sequence[R]) -> list[Result]:
        """As the service behind it, which is asked once for each request that is new, in one batch."""
        if not self.deterministic:
            self._count(asked=len(requests), answered=len(requests))
            return self.service.batch(requests)
        keys = [self.key(request) for request in requests]
        found: dict[str, Result] = {}
        missing: dict[str, R] = {}
        disk = 0
        for key, request in zip(keys, requests, strict=True):
            if key in found or key in missing:
                continue
            result = self._recall(key)
            if result is None and self._folder:
                result = self._read(key, request)
                disk += result is not None
            if result is None:
                missing[key] = request
            else:
                found[key] = result
        if missing:
            for (key, request), result in zip(missing.items(), self.service.batch(list(missing.values())), strict=True):
                found[key] = result if isinstance(result, Failure) else self._keep(key, request, result)
        self._count(asked=len(requests), memory=len(requests) - len(missing) - disk, disk=disk, answered=len(missing))
        return [found[key] for key in keys]

    def key(self, request: R) -> str:
        """32 hex digits that stand for a request to this version of the service."""
        return self._keys.key(request, self.version)

    def _recall(self, key: str) -> Result | None:
        with self._turn:
            result = self._memory.get(key)
            if result is not None:
                self._memory.move_to_end(key)
        return result

    def _keep(self, key: str, request: R, result: Result) -> Result:
        self._remember(key, result)
        if self._folder:
            storage.write_bytes(self._path(key, request), _encode(result))
        return result

    def _remember(self, key: str, result: Result) -> None:
        if isinstance(result, np.ndarray):
            result.setflags(write=False)
        with self._turn:
            if key in self._memory:
                return
            self._memory[key] = result
            self._room -= _size(result)
            while self._room < 0:
                self._room += _size(self._memory.popitem(last=False)[1])

    def _read(self, key: str, request: R) -> Result | None:
        try:
            result = _decode(storage.read_bytes(self._path(key, request)))
        except (OSError, ValueError):  # none there yet, or a file that something else has damaged: asked again and replaced
            return None
        self._remember(key, result)
        return result

    def _path(self, key: str, request: R) -> str:
        return storage.join(self._folder, KINDS[type(request)], key[:2], key)

    def _count(self, *, asked: int, memory: int = 0, disk: int = 0, answered: int = 0) -> None:
        with self._turn:
            self.stats.asked += asked
            self.stats.memory += memory
            self.stats.disk += disk
            self.stats.answered += answered


def cache_report(services: Services) -> dict[str, dict[str, float]]:
    """What the caches of the services have spared, by kind of service; kinds without a cache are left out."""
    kinds = {name: getattr(services, name) for name in KINDS.values()}
    return {name: service.stats.report() for name, service in kinds.items() if isinstance(service, Cached)}


def unread_by(service: object) -> tuple[str, ...]:
    """Names of the fields of a request that a service, cached or not, does not read."""
    if isinstance(service, Cached):
        return unread_by(service.service)
    return tuple(getattr(service, "unread", ()))


def _size(result: Result) -> int:
    return _TEXT_OVERHEAD + (result.nbytes if isinstance(result, np.ndarray) else len(str(result)))


def _encode(result: Result) -> bytes:
    """An npy file of an array, JSON of words."""
    if not isinstance(result, np.ndarray):
        return json.dumps(result).encode()
    file = io.BytesIO()
    np.save(file, result, allow_pickle=False)
    return file.getvalue()


def _decode(data: bytes) -> Result:
    if data.startswith(b"\x93NUMPY"):
        array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
        return array
    words = json.loads(data)
    if not isinstance(words, str):
        raise ValueError(f"wanted words, found {type(words).__name__}")
    return words
