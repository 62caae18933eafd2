"""Who is trained, validated and tested on, alike in all three stages.

`disjoint_sides` (the default) shares no speaker, no sentence and no dialogue between sides, over all stages and corpora together. The
published rules share all three; they are kept beside it, so that what they flatter can be measured.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rapport.core.errors import RapportError
from rapport.core.examples import Example
from rapport.core.schema import LEFT_OUT, SPLITS, Utterance
from rapport.datasets.splits import leak_report, plain_text, side_of_sentence

UPSTREAM_SEED = 42


def disjoint_sides(rows: Sequence[Utterance], *, shares: tuple[float, float], fixed: Iterable[str] = (), seed: int = 42) -> list[Utterance]:
    """The rows in the same order, each with the side that its speaker and its sentence share, or `left_out`.

    Rows come with the sides of their speakers. A sentence that only speakers of one side say lies on that side. One that several say is
    put on a side by its words, with `shares` of such sentences for validation and for test, and the rows of it by speakers of other sides
    are left out. Sentences of the corpora in `fixed`, where everybody says the same few, are not told apart. Rows without words stay as
    they are.
    Raises RapportError for a speaker on two sides.
    """
    fixed = set(fixed)
    speaker_sides: dict[str, str] = {}
    sentence_sides: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.split not in SPLITS:
            continue
        if row.speaker_id is not None and speaker_sides.setdefault(row.speaker_id, row.split) != row.split:
            raise RapportError(
                f"speaker {row.speaker_id} is on the sides {speaker_sides[row.speaker_id]} and {row.split}: set split.method speaker, "
                "or sides given to keep the sides of the prepared corpora as they are"
            )
        sentence = plain_text(row.text)
        if sentence is not None and row.corpus not in fixed:
            sentence_sides[sentence].add(row.split)
    side_of = {sentence: _side(sentence, sides, shares, seed) for sentence, sides in sentence_sides.items()}

    def placed(row: Utterance) -> Utterance:
        sentence = plain_text(row.text)
        if sentence is None or row.split not in SPLITS or row.corpus in fixed:
            return row
        return row if side_of[sentence] == row.split else row.with_split(LEFT_OUT)

    return [placed(row) for row in rows]


def disjoint_dialogues(examples: Sequence[Example], *, shares: tuple[float, float], seed: int = 42) -> list[Example]:
    """The examples of dialogues that lie on one side, and of each other dialogue those on one of its sides.

    Only a dialogue on a sentence that all sides share (`fixed`), or whose variants have other words, lies on several sides at first.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        sides[scenario_of(example.dialogue_id or "")].add(example.split)
    side_of = {scenario: _side(f"dialogue {scenario}", found, shares, seed) for scenario, found in sides.items()}
    return [e for e in examples if side_of[scenario_of(e.dialogue_id or "")] == e.split]


def upstream_rows(examples: Sequence[Example], held_out: int = 100, seed: int = UPSTREAM_SEED) -> list[Example]:
    """Stage 1 as published: `held_out` random rows to validate on, no test side."""
    chosen = set(random.Random(seed).sample(range(len(examples)), min(held_out, len(examples) - 1))) if examples else set()
    return [replace(e, split="validation" if i in chosen else "train") for i, e in enumerate(examples)]


def upstream_by_emotion(
    examples: Sequence[Example],
    emotions: Sequence[str],
    *,
    test: int = 20,
    validation: int = 20,
    train: int = 4000,
    seed: int = UPSTREAM_SEED,
) -> list[Example]:
    """Stage 2 as published: so many random rows of each emotion to test, then to validate, then to train on; the rest is dropped.

    An emotion with too few rows gives all but nine to the test side, or all of them to another.
    """
    draw = random.Random(seed)
    left = {emotion: [e for e in examples if e.emotion == emotion] for emotion in emotions}
    found: list[Example] = []
    for split, count, spare in (("test", test, 9), ("validation", validation, 0), ("train", train, 0)):
        for emotion, rows in left.items():
            chosen, left[emotion] = _drawn(rows, count, spare, draw)
            found += [replace(e, split=split) for e in chosen]
    return found


def upstream_dialogues(
    examples: Sequence[Example],
    emotions: Sequence[str],
    *,
    held_out: int = 50,
    train: int = 10_000,
    seed: int = UPSTREAM_SEED,
    shrinking: bool = False,
) -> list[Example]:
    """Stage 3 as published: `held_out` random rows of each emotion to test and again to validate; trained are dialogues of neither.

    The published code removes what it takes from the list that it walks, and stops when it holds more than the list, so that half of the
    rows are lost: `shrinking` does that too. Otherwise all rows train, up to `train` of each emotion.
    """
    draw = random.Random(seed)
    left = {emotion: [e for e in examples if e.emotion == emotion] for emotion in emotions}
    found: list[Example] = []
    for split, spare in (("test", 100), ("validation", 0)):
        for emotion, rows in left.items():
            chosen, left[emotion] = _drawn(rows, held_out, spare, draw)
            found += [replace(e, split=split) for e in chosen]
    used = {e.dialogue_id for e in found}
    for rows in left.values():
        draw.shuffle(rows)
        taken = _shrinking(rows, used, train) if shrinking else [e for e in rows if e.dialogue_id not in used][:train]
        found += [replace(e, split="train") for e in taken]
    return found


def capped(
    examples: Sequence[Example],
    most: Mapping[str, int | None],
    seed: int,
    by: Callable[[Example], Any],
    together: Callable[[Example], Any] = lambda example: example.example_id,
) -> list[Example]:
    """At most so many examples of each group `by` on each side, drawn by the seed, in their order; None is no limit.

    Examples of a side that `together` gives the same name are drawn all or not at all.
    """
    drawn: dict[tuple[str, Any], list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        drawn[example.split, together(example)].append(index)
    order = list(drawn.items())
    random.Random(seed).shuffle(order)
    taken = Counter[tuple[str, Any]]()
    kept: set[int] = set()
    for (split, _), members in order:
        limit = most.get(split)
        cells = Counter((split, by(examples[index])) for index in members)
        if limit is None or all(taken[cell] + count <= limit for cell, count in cells.items()):
            taken += cells
            kept.update(members)
    return [e for i, e in enumerate(examples) if i in kept]


def told_alike(example: Example) -> tuple[str, str | None]:
    """What the variants of a scenario by one speaker share, which are compared with one another; else the example alone."""
    return (scenario_of(example.dialogue_id), example.speaker_id) if example.dialogue_id else (example.example_id, None)


def leaks(examples: Sequence[Example], fixed: Iterable[str] = ()) -> dict[str, Any]:
    """The leak report over all stages together: speakers, dialogues, sentences and recordings on more than one side.

    The two variants of a scenario count as one dialogue. Sentences of the corpora in `fixed` are left out and these named.
    """
    fixed = sorted(set(fixed))
    rows = [
        Utterance(
            utterance_id=e.utterance_id,
            corpus=e.corpus,
            audio_path="",
            split=e.split,
            speaker_id=e.speaker_id,
            text=None if e.corpus in fixed else e.text,
            dialogue_id=None if e.dialogue_id is None else scenario_of(e.dialogue_id),
        )
        for e in examples
    ]
    report = leak_report(rows, {row.utterance_id: row.utterance_id for row in rows}, fixed_sentences=False)
    return {**report, "recordings": report.pop("contents"), "fixed_sentences": fixed}


def scenario_of(dialogue_id: str) -> str:
    """The scenario of a dialogue, of which it is one variant."""
    return dialogue_id.rpartition("_")[0]


def describe(examples: Sequence[Example]) -> dict[str, Any]:
    """Rows, speakers, sentences and emotions of every stage and side."""
    found: dict[str, Any] = {}
    for stage, split in sorted({(e.stage, e.split) for e in examples}, key=lambda key: (key[0], SPLITS.index(key[1]))):
        rows = [e for e in examples if (e.stage, e.split) == (stage, split)]
        found.setdefault(str(stage), {})[split] = {
            "rows": len(rows),
            "hours": round(sum(e.duration_s or 0 for e in rows) / 3600, 3),
            "speakers": len({e.speaker_id for e in rows}),
            "sentences": len({plain_text(e.text) for e in rows}),
            "emotions": dict(sorted(Counter(e.emotion for e in rows if e.emotion).items())),
            "reply_emotions": dict(sorted(Counter(e.reply_emotion for e in rows if e.reply_emotion).items())),
            "dialogues": len({e.dialogue_id for e in rows if e.dialogue_id}),
        }
    return found


def _side(name: str, sides: set[str], shares: tuple[float, float], seed: int) -> str:
    if len(sides) == 1:
        return next(iter(sides))
    side = side_of_sentence(name, *shares, seed)
    # Nobody on that side says it: it is better trained on than wasted.
    return side if side in sides else "train" if "train" in sides else "test"


def _drawn(rows: Sequence[Example], count: int, spare: int, draw: random.Random) -> tuple[list[Example], list[Example]]:
    """Random rows, and those that are left, in their order."""
    if len(rows) <= count:
        count = max(0, len(rows) - spare)
    chosen = set(draw.sample(range(len(rows)), count))
    return [e for i, e in enumerate(rows) if i in chosen], [e for i, e in enumerate(rows) if i not in chosen]


def _shrinking(rows: list[Example], used: set[str | None], most: int) -> list[Example]:
    """What is left of the rows when each one that is taken is removed from the list that is being walked: every other one."""
    rows = list(rows)
    taken: list[Example] = []
    place = 0
    while place < len(rows) and len(taken) < min(most, len(rows)):
        if rows[place].dialogue_id not in used:
            taken.append(rows.pop(place))
        place += 1  # past the row that has just moved up
    return taken
