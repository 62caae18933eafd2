"""What a number of dialogues came to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np


@dataclass
class Tally:
    """Sums over turns and over the episodes that ended."""

    turns: int = 0
    understood: int = 0
    """Turns in which the counterpart handed over the very item that was chosen."""
    failed: int = 0
    """Episodes that a service broke off."""
    episodes: int = 0
    successes: int = 0
    """Episodes with a return above zero."""
    returns: float = 0.0
    """Sum of the episodes' returns."""
    squares: float = 0.0
    """Sum of their squares."""

    def turn(self, understood: bool) -> None:
        """Count a turn."""
        self.turns += 1
        self.understood += understood

    def episode(self, total: float, failed: bool = False) -> None:
        """Count an episode that ended with this return."""
        self.episodes += 1
        self.failed += failed
        self.successes += total > 0
        self.returns += total
        self.squares += total * total

    @classmethod
    def of(cls, parts: Iterable[Self]) -> Self:
        """The sum of tallies."""
        whole = cls()
        for part in parts:
            for field in fields(cls):
                setattr(whole, field.name, getattr(whole, field.name) + getattr(part, field.name))
        return whole

    def figures(self) -> dict[str, float]:
        """`mean_return` with the standard error of the mean, `success` and `understood` as shares, and the counts; nothing where none."""
        found: dict[str, float] = {"turns": self.turns, "episodes": self.episodes, "failed": self.failed}
        if self.episodes:
            mean = self.returns / self.episodes
            spread = max(0.0, self.squares / self.episodes - mean * mean)
            found |= {
                "mean_return": mean,
                "standard_error": float(np.sqrt(spread / self.episodes)),
                "success": self.successes / self.episodes,
            }
        if self.turns:
            found["understood"] = self.understood / self.turns
        return found

    def state(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def understood(infos: Mapping[str, Any], row: int) -> bool:
    """Whether the turn of a row handed over the item that was chosen, by a vector environment's infos."""
    chosen = infos.get("chosen_name")
    return chosen is not None and bool(infos["_chosen_name"][row]) and bool(chosen[row]) and infos["item_name"][row] == chosen[row]
