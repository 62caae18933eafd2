"""A round as the published code really ran it, to measure against; the faults themselves are in `rapport.models.erc.upstream`."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rapport.core.conversations import ErcExample
from rapport.models.erc.upstream import Record, accepts, compared_pairs, filter_round, listed_label
from rapport.ray_jobs.coe_training.steer.memory import Harvest, counted
from rapport.ray_jobs.coe_training.steer.stage import PublishedFaults

_SHUFFLE = 42
"""Seed by which the pool is shuffled before it is asked."""


def published_harvest(pool: Sequence[ErcExample], texts: Mapping[str, str], faults: PublishedFaults, number: int) -> Harvest:
    """The answers to a pool (`example_id` to text), compared and filed as the published code does it.

    An example of the pool may stand there twice, and its `target` is the label that it was written back with; `gold` stays the right one.
    Rows have `compared` besides, the label that the answer was compared with.
    """
    pool = list(pool)
    random.Random(_SHUFFLE).shuffle(pool)
    # Names in place of prompts: what is filed can then be told apart.
    records = [Record(example.example_id, example.target) for example in pool]
    answers = [texts[example.example_id] for example in pool]
    memory, unsolved = filter_round(records, answers, faults.dataset, faults.workers)
    rows: list[dict[str, Any]] = []
    for item, compared in compared_pairs(len(records), faults.workers):
        wanted, text = records[compared].target, answers[item]
        parsed, taken = listed_label(text, faults.dataset), accepts(text, wanted, faults.dataset)
        rows.append(
            {
                "example_id": pool[item].example_id,
                "sample": 0,
                "hinted": False,
                "text": text,
                "parsed": parsed,
                "gold": pool[item].gold,
                "compared": wanted,
                "accepted": taken,
                "reason": "" if taken else ("wrong_label" if parsed else "no_label"),
            }
        )
    by_id = {example.example_id: example for example in pool}
    accepted = [replace(by_id[r.input], target=r.target, meta={**by_id[r.input].meta, "round": number}) for r in memory]
    figures = {
        **counted(rows, pool, {example.example_id for example in accepted}),
        "accepted_rightly": sum(row["accepted"] and row["parsed"] == row["gold"].lower() for row in rows),
    }
    return Harvest(rows, accepted, [replace(by_id[r.input], target=r.target) for r in unsolved], figures)
