"""What a dialogue asks of its services, and how it is answered: one `batch` a kind of service, results in the order of the requests.

    services = Services(judge, ears, voice, pictures)
    results = ask(services, [HearingRequest(waveform, 16_000), SpeechRequest("hello", "af_heart", 22_050)])

A session asks and never calls a model, so that many sessions share one batch, and a service may be an object, an actor or a deployment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A picture of an item; answered by uint8 [H, W, 3]."""

    item_id: int
    name: str
    """The item's raw name, underscores included."""
    prompt: str
    mode: str
    """The pool: `train` or `test`. One pool's pictures are never seen in the other."""
    index: int | None
    """Which picture of the item in its pool; None for one that was never drawn before."""
    seed: int
    """Decides the picture, with all that stands above."""
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A line to be spoken; answered by float32 [S] at `rate_hz`."""

    text: str
    voice: str
    rate_hz: int


@dataclass(frozen=True, slots=True)
class HearingRequest:
    """Speech to be transcribed; answered by its words, empty when none are heard."""

    waveform: np.ndarray
    """float32 [S]."""
    rate_hz: int


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """A turn to be judged; answered by the judge's reply as it came, JSON or not."""

    prompt: str
    """The rendered prompt file, spec section 1.6."""
    heard: str
    """The transcript; empty when an opening line is wanted."""
    offered: tuple[str, ...]
    """Raw names of the items on offer, in order."""
    moves: tuple[tuple[int, str], ...]
    """(id, name) of the scenes that may follow."""
    seed: int
    """Of a judge that samples."""


Request = PictureRequest | SpeechRequest | HearingRequest | JudgeRequest


@dataclass(frozen=True, slots=True)
class Failure:
    """In place of a result: the service could not answer this request, also when asked again."""

    service: str
    """`judge`, `ears`, `voice` or `pictures`."""
    reason: str


Result = np.ndarray | str | Failure

R = TypeVar("R", bound=Request, contravariant=True)


class Service(Protocol[R]):
    """One kind of service. Equal versions and equal requests have equal results, unless `deterministic` is False."""

    @property
    def version(self) -> str:
        """Engine, weights and settings: part of every cache key."""
        ...

    @property
    def deterministic(self) -> bool:
        """Whether a result may be kept and given again."""
        ...

    def batch(self, requests: Sequence[R]) -> list[Result]:
        """A result for each request, in order. May raise; then nothing of the batch was answered."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """All that a dialogue needs."""

    judge: Service[JudgeRequest]
    ears: Service[HearingRequest]
    voice: Service[SpeechRequest]
    pictures: Service[PictureRequest]


KINDS: dict[type, str] = {JudgeRequest: "judge", HearingRequest: "ears", SpeechRequest: "voice", PictureRequest: "pictures"}
"""Kind of request to the name of its service in `Services`."""


def ask(services: Services, requests: Sequence[Request]) -> list[Result]:
    """The result of each request, in order, with one batch for each kind of service that is needed."""
    results: list[Result | None] = [None] * len(requests)
    for kind, name in KINDS.items():
        places = [i for i, request in enumerate(requests) if type(request) is kind]
        if places:
            answers = getattr(services, name).batch([requests[i] for i in places])
            for i, answer in zip(places, answers, strict=True):
                results[i] = answer
    return [result for result in results if result is not None]
