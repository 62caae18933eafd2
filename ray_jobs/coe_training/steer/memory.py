"""What becomes of the answers of a round: some join the memory, and their lines leave the pool."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from sklearn.metrics import accuracy_score, f1_score

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.answers import Rollout, copied_share, find_label, judge_all
from rapport.models.erc.config import AnswerConfig
from rapport.models.erc.generation import Written
from rapport.models.erc.templates import line_key
from rapport.models.erc.truncation import TokenCounter


@dataclass(frozen=True, slots=True)
class Harvest:
    """The answers of a round, judged."""

    rows: list[dict[str, Any]]
    """Every answer: `example_id`, `sample`, `hinted`, `text`, `parsed`, `gold`, `accepted`, `reason`."""
    accepted: list[ErcExample]
    """What joins the memory: the example's own prompt, and the answer down to its label."""
    pool: list[ErcExample]
    """What is left to be solved, in the order of before."""
    figures: dict[str, Any]
    """Counts, for the record of the round."""


def check_inputs(seeds: Sequence[ErcExample], pool: Sequence[ErcExample]) -> None:
    """Raises RapportError for examples that are not to be learned from.

    Those are of another side or task, twice in the pool, or a seed in it too; and seeds that do not give their label.
    """
    if not seeds:
        raise RapportError("there are no seeds, from which a model learns to reason: wanted some examples with reasons")
    for example in (*seeds, *pool):
        if example.task != "steer":
            raise RapportError(f"{example.example_id} is of the task {example.task}: wanted steer")
        if (split := line_key(example.example_id).split) != "train":
            raise RapportError(f"{example.example_id} is of {split}: seeds and pool are of train, and nothing else is learned from")
    counts = Counter(example.example_id for example in pool)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RapportError(f"{twice[0]} is in the pool {counts[twice[0]]} times, and {len(twice)} examples in all: wanted each once")
    if both := [seed.example_id for seed in seeds if seed.example_id in counts]:
        raise RapportError(f"{len(both)} seeds are in the pool too, such as {both[0]}: they would be solved by heart, leave them out")
    for seed in seeds:
        if (found := find_label(seed.target, seed.labels)) != seed.gold:
            raise RapportError(f"the reasons of the seed {seed.example_id} end in {found and f'<{found}>'}, wanted <{seed.gold}>")


def rollouts_of(written: Iterable[Written], *, hinted: bool = False) -> list[Rollout]:
    """Answers as they are judged."""
    return [Rollout(answer.example_id, answer.text, answer.sample, hinted) for answer in written]


def wrong(pool: Sequence[ErcExample], rollouts: Iterable[Rollout]) -> list[ErcExample]:
    """The examples to which no answer gives the right label."""
    by_id = {example.example_id: example for example in pool}
    right = {r.example_id for r in rollouts if find_label(r.text, by_id[r.example_id].labels) == by_id[r.example_id].gold}
    return [example for example in pool if example.example_id not in right]


def harvest(
    pool: Sequence[ErcExample],
    rollouts: Sequence[Rollout],
    memory: Sequence[ErcExample],
    config: AnswerConfig,
    count: TokenCounter,
    *,
    number: int,
    seed: int,
) -> Harvest:
    """The answers that round `number` got to a pool, judged; joined by `example_id`, in whatever order they come."""
    by_id = {example.example_id: example for example in pool}
    verdicts = judge_all(rollouts, by_id, config, count, [(example.example_id, example.target) for example in memory], seed)
    rows: list[dict[str, Any]] = []
    accepted: list[ErcExample] = []
    for rollout, verdict in verdicts:
        example = by_id[rollout.example_id]
        rows.append(
            {
                "example_id": rollout.example_id,
                "sample": rollout.sample,
                "hinted": rollout.hinted,
                "text": rollout.text,
                "parsed": verdict.parsed,
                "gold": example.gold,
                "accepted": verdict.accepted,
                "reason": verdict.reason,
            }
        )
        if verdict.accepted:
            origin = {"round": number, "sample": rollout.sample, "hinted": rollout.hinted}
            accepted.append(replace(example, target=verdict.text, meta={**example.meta, **origin}))
    solved = {example.example_id for example in accepted}
    left = [example for example in pool if example.example_id not in solved]
    seeds = [example for example in memory if "round" not in example.meta]
    figures = {
        **counted(rows, pool, solved),
        "hinted": sum(row["hinted"] and row["accepted"] for row in rows),
        "new_share": new_share(accepted, seeds, config.copy_words),
        "new_answers": sum(e.target not in {seed.target for seed in seeds} for e in accepted),
    }
    return Harvest(rows, accepted, left, figures)


def counted(rows: Sequence[Mapping[str, Any]], pool: Sequence[ErcExample], solved: Iterable[str]) -> dict[str, Any]:
    """How many examples were asked and solved, in all and of each label; how many answers were accepted, and why others were not."""
    golds = {example.example_id: example.gold for example in pool}
    labels = [label for example in pool for label in example.labels]
    asked, found = Counter(golds.values()), Counter(golds[name] for name in solved)
    taken = [row for row in rows if row["accepted"]]
    return {
        "asked": len(golds),
        "solved": found.total(),
        "acceptance": found.total() / len(golds) if golds else None,
        "answers": len(rows),
        "accepted": len(taken),
        "refused": dict(Counter(row["reason"] for row in rows if not row["accepted"])),
        "by_class": {label: {"asked": asked[label], "solved": found[label]} for label in dict.fromkeys([*labels, *asked])},
    }


def new_share(accepted: Sequence[ErcExample], seeds: Sequence[ErcExample], run: int) -> float | None:
    """How much of the accepted reasons is new, 0 to 1: the share of their runs of `run` words that the nearest seed does not hold.

    The mean over answers; None where nothing was accepted.
    """
    if not accepted:
        return None
    copied = [max(copied_share(example.target, seed.target, run) for seed in seeds) for example in accepted]
    return 1 - sum(copied) / len(copied)


def some_of(examples: Sequence[ErcExample], count: int, seed: int) -> list[ErcExample]:
    """At most so many of the examples, drawn by name: the same in whatever order they come, and more hold the fewer."""
    drawn = sorted(examples, key=lambda e: sha256(f"{seed}/{e.example_id}".encode()).digest())[:count]
    return sorted(drawn, key=lambda e: e.example_id)


def watched(examples: Sequence[ErcExample], written: Iterable[Written]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Answers to lines that are not learned from, as rows, and figures: `examples`, `accuracy`, `weighted_f1`, and `unread`, the share
    without a label, which is wrong.
    """
    texts = {answer.example_id: answer.text for answer in written}
    rows = [
        {"example_id": e.example_id, "text": texts[e.example_id], "parsed": find_label(texts[e.example_id], e.labels), "gold": e.gold}
        for e in examples
    ]
    gold, parsed = [row["gold"] for row in rows], [row["parsed"] or "" for row in rows]
    figures = {
        "examples": len(rows),
        "accuracy": float(accuracy_score(gold, parsed)),
        "weighted_f1": float(f1_score(gold, parsed, average="weighted", zero_division=0)),
        "unread": sum(not label for label in parsed) / len(rows),
    }
    return rows, figures
