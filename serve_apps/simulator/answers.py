"""What the app for simulator services tells of its services."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rapport.serve_apps.http.answers import PlainModelCard


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One kind of service, as one of its replicas knows it."""

    version: str
    deterministic: bool
    unread: tuple[str, ...]
    """Fields of a request that it does not read."""
    words: str
    """Stands for the task's utterances: equal ones are equal."""
    created: int
    """When the replica came up, seconds since the epoch."""
    calls: dict[str, float] = field(default_factory=dict)
    """As `CacheStats.report`; empty without a cache."""


Facts = Callable[[], Awaitable[ServiceFacts]]
"""Asks a service what it is."""


class ServiceCard(PlainModelCard):
    """A service: its id is its kind."""

    version: str
    """Engine, weights and settings; answers of equal versions are equal."""
    deterministic: bool
    """Whether its answers are kept."""
    calls: dict[str, float]
    """Of the replica that answered: requests `asked`, answered from `memory`, from `disk` and by the engine (`answered`), and the
    `hit_rate`. Empty without a cache."""
