"""How well an agent's own speech is understood: what was heard of it, against what the items that it meant are asked for with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rapport.simulator.scenario import Item
from rapport.simulator.task import Task
from rapport.training.text_scores import word_error_rate


class WantedWords:
    """The accepted ways to ask for each item of a task."""

    def __init__(self, task: Task) -> None:
        self._ways = {item.name: ways_of(task, item) for item in task.scenario.items.values()}
        self._rate = word_error_rate(_plain)
        self._known: dict[tuple[str, str], tuple[int, float, float]] = {}

    def nearest(self, item: str, heard: str) -> tuple[int, float, float]:
        """Of the ways to ask for an item, the number of the one nearest to what was heard (the first of equals), the words that are wrong
        against it, and its words."""
        key = item, heard
        if key not in self._known:
            ways = self._ways[item]
            sums = self._rate.statistics(ways, [heard] * len(ways))
            best = int(np.lexsort((np.arange(len(ways)), sums[:, 0] / sums[:, 1]))[0])
            self._known[key] = best, float(sums[best, 0]), float(sums[best, 1])
        return self._known[key]

    def pattern(self, item: str, heard: str) -> int | None:
        """The number of the utterance that was heard word by word; None for none."""
        number, wrong, _ = self.nearest(item, heard)
        return None if wrong else number


def ways_of(task: Task, item: Item) -> Sequence[str]:
    """How an item may be asked for; by its name alone, in a task without utterance patterns."""
    return (item.spoken,) if task.patterns is None else task.patterns.utterances(item)


def patterns_used(turns: Sequence[Mapping[str, Any]], wanted: WantedWords, unseen: Sequence[int]) -> dict[str, Any]:
    """How often each utterance was heard word by word: `counts` by number, `none` where it was no utterance of the item, and `unseen`,
    the numbers that the body was not trained on."""
    found = [wanted.pattern(turn["chosen_name"], turn["transcript"]) for turn in turns if turn["chosen_name"]]
    known = sorted({number for number in found if number is not None})
    return {"counts": {str(n): found.count(n) for n in known}, "none": found.count(None), "unseen": list(unseen)}


def _plain(text: str) -> str:
    """Lower-case words without punctuation, as ears write them."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())
