"""Services asked patiently: again when they raise, request by request when a batch will not do, and measured."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.requests import KINDS, Failure, Request, Result, Service, Services, ask

logger = logging.getLogger(__name__)


class ServiceError(RapportError):
    """A service that fails again and again."""


@dataclass(frozen=True)
class Timings:
    """Seconds that a step waited for each service, batches of other sessions included. Any two compare equal: they are no outcome."""

    judge_s: float = field(default=0.0, compare=False)
    ears_s: float = field(default=0.0, compare=False)
    voice_s: float = field(default=0.0, compare=False)
    pictures_s: float = field(default=0.0, compare=False)


class Asker:
    """Asks `services`; a result that cannot be had, or is of the wrong type, is a Failure with the reason."""

    def __init__(self, services: Services, *, retries: int = 2, failures_allowed: int = 20) -> None:
        self._patient = {name: _Patient(name, getattr(services, name), retries + 1, failures_allowed) for name in KINDS.values()}
        self._services = Services(**self._patient)

    def ask(self, requests: Sequence[Request]) -> list[Result]:
        """The result of each request, in order, with one batch for each kind that is there.

        Raises ServiceError when a service failed more batches in a row than allowed.
        """
        return ask(self._services, requests)

    def take_timings(self) -> Timings:
        """What was waited for since this was last called."""
        return Timings(**{f"{name}_s": service.take_seconds() for name, service in self._patient.items()})


class _Patient:
    """A service that never raises for a batch, but for too many in a row."""

    deterministic = False
    """It may fail and not fail."""

    def __init__(self, name: str, service: Service[Any], attempts: int, failures_allowed: int) -> None:
        self._name = name
        self._service = service
        self._attempts = attempts
        self._failures, self._failures_allowed = 0, failures_allowed
        self._seconds = 0.0

    @property
    def version(self) -> str:
        try:
            return str(self._service.version)
        except Exception:  # a dead service cannot tell
            return "unknown version"

    def batch(self, requests: Sequence[Any]) -> list[Result]:
        start = time.perf_counter()
        try:
            return self._answers(requests)
        finally:
            self._seconds += time.perf_counter() - start

    def take_seconds(self) -> float:
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _answers(self, requests: Sequence[Any]) -> list[Result]:
        answers, reason = self._try(requests, self._attempts)
        if answers is None and len(requests) > 1:
            answers = self._one_by_one(requests, reason)
        if answers is None:
            answers = [Failure(self._name, reason)] * len(requests)
        failed = [answer for answer in answers if isinstance(answer, Failure)]
        self._failures = self._failures + 1 if len(failed) == len(answers) else 0
        if self._failures > self._failures_allowed:
            raise ServiceError(
                f"{self._name} ({self.version}) failed {self._failures} batches in a row, at last with: {failed[-1].reason}. "
                f"Mend the service, or set retries or failures_allowed (now {self._failures_allowed}) higher"
            )
        return answers

    def _one_by_one(self, requests: Sequence[Any], reason: str) -> list[Result] | None:
        """One request may spoil a batch for all. But a service that answers none of the first few is dead: None, and no more is asked."""
        answers: list[Result] = []
        for place, request in enumerate(requests):
            answer, why = self._try([request], 1)
            answers += answer or [Failure(self._name, why)]
            if place + 1 >= min(self._attempts, len(requests)) and all(isinstance(each, Failure) for each in answers):
                return None
        return answers

    def _try(self, requests: Sequence[Any], attempts: int) -> tuple[list[Result] | None, str]:
        reason = ""
        for attempt in range(attempts):
            try:
                answers = list(self._service.batch(requests))
                if len(answers) == len(requests):
                    return [_CHECKS[self._name](self._name, answer) for answer in answers], ""
                reason = f"{len(answers)} results for {len(requests)} requests"
            except Exception as error:  # whatever a service dies of, its episodes are what is lost
                reason = f"{type(error).__name__}: {error}"
            logger.warning("%s failed a batch of %d, attempt %d of %d: %s", self._name, len(requests), attempt + 1, attempts, reason)
        return None, reason


def _text(name: str, answer: Result) -> Result:
    return answer if isinstance(answer, str | Failure) else Failure(name, f"answered {_kind(answer)}: wanted text")


def _speech(name: str, answer: Result) -> Result:
    if isinstance(answer, Failure):
        return answer
    if isinstance(answer, np.ndarray) and answer.ndim == 1 and answer.size and answer.dtype.kind == "f" and np.isfinite(answer).all():
        return _lasting(answer.astype(np.float32, copy=False))
    return Failure(name, f"answered {_kind(answer)}: wanted finite float32 [S] with S >= 1")


def _picture(name: str, answer: Result) -> Result:
    if isinstance(answer, Failure):
        return answer
    if isinstance(answer, np.ndarray) and answer.dtype == np.uint8 and answer.ndim == 3 and answer.shape[2] == 3:
        return _lasting(answer)
    return Failure(name, f"answered {_kind(answer)}: wanted uint8 [H, W, 3]")


def _lasting(array: np.ndarray) -> np.ndarray:
    """The same array, not to be written to: caches give it to many episodes."""
    array.setflags(write=False)
    return array


def _kind(answer: object) -> str:
    return f"{answer.dtype} {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__


_CHECKS: dict[str, Callable[[str, Result], Result]] = {"judge": _text, "ears": _text, "voice": _speech, "pictures": _picture}
