"""Examples drawn, weighed and put together: pure functions of the examples, the settings and the seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.prompt import ANSWER
from rapport.ray_jobs.coe_training.config import MixtureConfig
from rapport.training.sampler import derive_seed

RAW = "raw"
"""Written behind the id of an example that is a prompt to be learned as text."""


def limited(examples: Sequence[ErcExample], most: int | None, seed: int) -> list[ErcExample]:
    """At most so many examples, drawn by the seed, in their order."""
    if most is None or len(examples) <= most:
        return list(examples)
    chosen = np.sort(_rng(seed).permutation(len(examples))[:most])
    return [examples[place] for place in chosen]


def mixed(examples: Mapping[str, Sequence[ErcExample]], config: MixtureConfig, seed: int) -> list[ErcExample]:
    """Examples of several tasks as one training side, in the order of the tasks and, within each, of its examples.

    Of n examples of a task, after its cap, a share proportional to weight x n ^ (1 / temperature) of the whole is taken, which has as many
    as all capped tasks together. A task that is to give more than it has gives all of them several times, and draws the rest.
    Raises RapportError when all weights are 0.
    """
    capped = {task: limited(found, getattr(config.caps, task), seed) for task, found in examples.items()}
    weights = {task: getattr(config.weights, task) * len(found) ** (1 / config.temperature) for task, found in capped.items() if found}
    if not any(weights.values()):
        raise RapportError(f"mixture.weights of {', '.join(weights) or 'tasks without examples'} is 0: raise one of them")
    counts = _apportioned(sum(map(len, capped.values())), weights)
    rows: list[ErcExample] = []
    for task, count in counts.items():
        whole, rest = divmod(count, len(capped[task]))
        drawn = limited(capped[task], rest, seed) if rest else []
        rows += [*(example for _ in range(whole) for example in capped[task]), *drawn]
    return rows


def held_out(memory: Sequence[ErcExample], share: float, seed: int) -> tuple[list[ErcExample], list[ErcExample]]:
    """The harvest to learn from, and whole conversations of it to measure on, about `share` of them."""
    names = sorted({_conversation(example) for example in memory})
    chosen = {names[place] for place in _rng(seed).permutation(len(names))[: math.floor(share * len(names))]}
    return [e for e in memory if _conversation(e) not in chosen], [e for e in memory if _conversation(e) in chosen]


def raw_texts(examples: Sequence[ErcExample]) -> list[ErcExample]:
    """Prompts as texts to be learned whole: of each conversation and task the one that shows most of it.

    The mark after which an answer comes is left out: with it, a model would learn that nothing follows.
    """
    longest: dict[tuple[str, str], ErcExample] = {}
    for example in examples:
        place = (_conversation(example), example.task)
        if place not in longest or len(example.input) > len(longest[place].input):
            longest[place] = example
    texts = {name: example.input.removesuffix(ANSWER).rstrip() for name, example in longest.items()}
    return [
        replace(example, example_id=f"{example.example_id}/{RAW}", input="", target=texts[name], gold="", labels=())
        for name, example in longest.items()
    ]


def _conversation(example: ErcExample) -> str:
    """`corpus/split/dialogue` of an id `corpus/split/dialogue/turn/task`; of a flat file each line is on its own."""
    return example.example_id if example.meta.get("template") == "flat" else example.example_id.rsplit("/", 2)[0]


def _apportioned(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """The total divided in proportion to the weights, what is left to those that were rounded down furthest."""
    whole = sum(weights.values())
    exact = {name: total * weight / whole for name, weight in weights.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "mixture"))
