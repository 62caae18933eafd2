"""What is counted of sessions, for dashboards."""

from collections.abc import Mapping
from typing import Protocol


class Meter(Protocol):
    """Is told what happens in the sessions of one process."""

    def sessions(self, count: int) -> None:
        """So many are under way now."""

    def turn(self, seconds: float) -> None:
        """A user has said something of this length."""

    def reply(self, status: str, waited_ms: Mapping[str, float]) -> None:
        """A reply has ended, and how long the user waited for each of its steps."""

    def error(self, code: str) -> None:
        """A client was told of an error."""


class NoMeter:
    """A `Meter` that nobody reads."""

    def sessions(self, count: int) -> None:
        """Nothing."""

    def turn(self, seconds: float) -> None:
        """Nothing."""

    def reply(self, status: str, waited_ms: Mapping[str, float]) -> None:
        """Nothing."""

    def error(self, code: str) -> None:
        """Nothing."""
