"""Services asked patiently: again when they raise, request by request when a batch will not do, and measured."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.requests import KINDS, Failure, Request, Result, Services

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
    """Asks `services`; a result that cannot be had or is of the wrong type is a Failure, with the reason."""

    def __init__(self, services: Services, *, retries: int = 2, failures_allowed: int = 20) -> None:
        self._services = services
        self._attempts = retries + 1
        self._failures_allowed = failures_allowed
        self._failures = dict.fromkeys(KINDS.values(), 0)
        self._seconds = dict.fromkeys(KINDS.values(), 0.0)

    def ask(self, requests: Sequence[Request]) -> list[Result]:
        """The result of each request, in order, with one batch for each kind that is there.

        Raises ServiceError when a service failed more batches in a row than allowed.
        """
        results: list[Result | None] = [None] * len(requests)
        for kind, name in KINDS.items():
            places = [i for i, request in enumerate(requests) if type(request) is kind]
            if not places:
                continue
            start = time.perf_counter()
            answers = self._answers(name, [requests[i] for i in places])
            self._seconds[name] += time.perf_counter() - start
            for place, answer in zip(places, answers, strict=True):
                results[place] = answer
        return [result for result in results if result is not None]

    def take_timings(self) -> Timings:
        """What was waited for since this was last called."""
        seconds = self._seconds
        timings = Timings(seconds["judge"], seconds["ears"], seconds["voice"], seconds["pictures"])
        self._seconds = dict.fromkeys(seconds, 0.0)
        return timings

    def _answers(self, name: str, requests: list[Request]) -> list[Result]:
        answers, reason = self._try(name, requests, self._attempts)
        if answers is not None:
            self._failures[name] = 0
            return answers
        if len(requests) > 1:
            answers = self._one_by_one(name, requests, reason)
            if not all(isinstance(answer, Failure) for answer in answers):
                self._failures[name] = 0
                return answers
        self._failures[name] += 1
        if self._failures[name] > self._failures_allowed:
            raise ServiceError(
                f"{name} ({self._version(name)}) failed {self._failures[name]} batches in a row, each {self._attempts} times, "
                f"at last with: {reason}. Mend the service, or set retries or failures_allowed (now {self._failures_allowed}) higher"
            )
        return [Failure(name, reason)] * len(requests)

    def _one_by_one(self, name: str, requests: list[Request], reason: str) -> list[Result]:
        """One request may spoil a batch for all; but a service that answers none of the first few is dead, and not asked for the rest."""
        answers: list[Result] = []
        for request in requests:
            if len(answers) == self._attempts and all(isinstance(answer, Failure) for answer in answers):
                return answers + [Failure(name, reason)] * (len(requests) - len(answers))
            answer, why = self._try(name, [request], 1)
            answers += answer if answer is not None else [Failure(name, why)]
        return answers

    def _try(self, name: str, requests: list[Request], attempts: int) -> tuple[list[Result] | None, str]:
        reason = ""
        for attempt in range(attempts):
            try:
                answers = getattr(self._services, name).batch(requests)
            except Exception as error:  # whatever a service dies of, its episodes are what is lost
                reason = f"{type(error).__name__}: {error}"
            else:
                if len(answers) == len(requests):
                    check = _CHECKS[name]
                    return [check(answer) for answer in answers], ""
                reason = f"{len(answers)} results for {len(requests)} requests"
            logger.warning("%s failed a batch of %d, attempt %d of %d: %s", name, len(requests), attempt + 1, attempts, reason)
        return None, reason

    def _version(self, name: str) -> str:
        try:
            return str(getattr(self._services, name).version)
        except Exception:  # a dead service cannot tell
            return "of unknown version"


def _text(name: str) -> Callable[[Result], Result]:
    def check(answer: Result) -> Result:
        return answer if isinstance(answer, str | Failure) else Failure(name, f"answered {_kind(answer)}: wanted text")

    return check


def _speech(answer: Result) -> Result:
    if isinstance(answer, Failure):
        return answer
    if isinstance(answer, np.ndarray) and answer.ndim == 1 and answer.size and answer.dtype.kind == "f" and np.isfinite(answer).all():
        return _lasting(answer.astype(np.float32, copy=False))
    return Failure("voice", f"answered {_kind(answer)}: wanted finite float32 [S] with S >= 1")


def _picture(answer: Result) -> Result:
    if isinstance(answer, Failure):
        return answer
    if isinstance(answer, np.ndarray) and answer.dtype == np.uint8 and answer.ndim == 3 and answer.shape[2] == 3:
        return _lasting(answer)
    return Failure("pictures", f"answered {_kind(answer)}: wanted uint8 [H, W, 3]")


def _lasting(array: np.ndarray) -> np.ndarray:
    """The same array, not to be written to: caches give it to many episodes."""
    array.setflags(write=False)
    return array


def _kind(answer: object) -> str:
    return f"{answer.dtype} {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__


_CHECKS: dict[str, Callable[[Result], Result]] = {"judge": _text("judge"), "ears": _text("ears"), "voice": _speech, "pictures": _picture}
