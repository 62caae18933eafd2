"""Examples of each task and side, made from conversations and clues.

    role_play   lines of train and validation that follow another and have some words
    speaker     lines of train and validation in scenes of two or more people
    steer       labelled lines of every side; of train, without the seeds: the pool that is to be solved
    erc         labelled lines of every side

The seeds are a few lines of train with reasons written by hand, from which the model learns the form of an answer.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rapport.core.conversations import TASKS, Clues, Conversation, ErcExample, Line
from rapport.core.errors import RapportError
from rapport.models.erc.answers import with_reasons
from rapport.models.erc.config import ExampleConfig, PromptConfig
from rapport.models.erc.templates import LineKey, line_key, render
from rapport.models.erc.truncation import MARKS, TokenCounter

SIDES = ("train", "validation", "test")
SIDES_OF: Mapping[str, tuple[str, ...]] = {"role_play": SIDES[:2], "speaker": SIDES[:2], "steer": SIDES, "erc": SIDES}
"""Sides of which a task has examples: what only helps to learn is never asked of the test side."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True, slots=True)
class Built:
    """Examples by task and side, in the order of the conversations."""

    examples: Mapping[str, Mapping[str, list[ErcExample]]]
    seeds: list[ErcExample] = field(default_factory=list)
    """Examples of `steer` with reasons; none of them is in the pool."""
    skipped: Mapping[str, Counter[str]] = field(default_factory=dict)
    """Task to why lines were left out: `unlabelled`, `context`, `no_history`, `few_words`, `alone`."""

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of examples by task and side."""
        return {task: {side: len(found) for side, found in sides.items()} for task, sides in self.examples.items()}

    def cut(self) -> Counter[str]:
        """Number of examples whose prompt lost history, scene or words of personas."""
        metas = (example.meta.get("cut") for sides in self.examples.values() for found in sides.values() for example in found)
        return Counter(what for cut in metas if isinstance(cut, dict) for what in cut)


def build_examples(
    conversations: Iterable[Conversation],
    clues: Clues,
    config: PromptConfig,
    labels: Sequence[str],
    *,
    tasks: Sequence[str] = TASKS,
    rules: ExampleConfig | None = None,
    seeds: Mapping[str, str] | None = None,
    count: TokenCounter | None = None,
) -> Built:
    """The examples of one corpus.

    `seeds` maps ids of lines or of examples to reasons; `count` gives the number of tokens of a text, without which nothing is cut.
    Raises RapportError for an example that occurs twice, for what `render` refuses, and for seeds that `_seeds` refuses.
    """
    rules = rules or ExampleConfig()
    reasons = {line_key(name): text for name, text in (seeds or {}).items()}
    examples: dict[str, dict[str, list[ErcExample]]] = {task: {side: [] for side in SIDES_OF[task]} for task in tasks}
    skipped: dict[str, Counter[str]] = {task: Counter() for task in tasks}
    held: dict[LineKey, ErcExample] = {}
    seen: set[tuple[str, str, str]] = set()
    for conversation in conversations:
        _check_new(conversation, seen)
        for task in tasks:
            if conversation.split not in SIDES_OF[task]:
                continue
            for line in conversation.lines:
                if why := _why_not(conversation, line, task, rules):
                    skipped[task][why] += 1
                    continue
                example = render(conversation, line.turn, task, clues, config, labels, count)
                key = line_key(example.example_id)
                if task == "steer" and key in reasons:
                    held[key] = example
                else:
                    examples[task][conversation.split].append(example)
    found = _seeds(reasons, held, labels, config, count) if "steer" in tasks and reasons else []
    return Built(examples, found, skipped)


def choose_seed_lines(conversations: Iterable[Conversation], labels: Sequence[str], count: int = 10, seed: int = 0) -> list[LineKey]:
    """Lines of train for which reasons are to be written: every label at least once, the rest in turn through the labels.

    Lines of five words or more with two or more before them come first, as there is something to reason about. Raises RapportError when
    `count` is too small for the labels, or a label has no line.
    """
    lines: dict[str, list[tuple[bool, LineKey]]] = {label: [] for label in labels}
    if count < len(lines):
        raise RapportError(f"{count} seeds cannot cover {len(lines)} labels: wanted at least one of each")
    for conversation in conversations:
        for line in conversation.lines if conversation.split == "train" else ():
            if line.label in lines:
                poor = line.turn < 2 or _word_count(line.text) < 5
                lines[line.label].append((poor, LineKey(conversation.corpus, conversation.split, conversation.dialogue_id, line.turn)))
    if missing := [label for label, found in lines.items() if not found]:
        raise RapportError(f"no line of train has the label {', '.join(missing)}: seeds cannot cover it")
    for found in lines.values():
        random.Random(seed).shuffle(found)
        found.sort(key=lambda item: item[0])
    chosen: list[LineKey] = []
    for place in range(max(map(len, lines.values()))):
        chosen += [found[place][1] for found in lines.values() if place < len(found)]
    return chosen[:count]


def _check_new(conversation: Conversation, seen: set[tuple[str, str, str]]) -> None:
    if conversation.split not in SIDES:
        raise RapportError(
            f"{conversation.corpus}/{conversation.dialogue_id}: split is {conversation.split!r}, wanted one of {', '.join(SIDES)}"
        )
    key = (conversation.corpus, conversation.split, conversation.dialogue_id)
    if key in seen:
        raise RapportError(f"two conversations are called {'/'.join(key)}: answers could not be told apart, rename one")
    seen.add(key)
    if others := {name for name, *_ in seen} - {conversation.corpus}:
        raise RapportError(
            f"conversations of {conversation.corpus} and {', '.join(others)} together: build each corpus apart, each has its labels"
        )


def _why_not(conversation: Conversation, line: Line, task: str, rules: ExampleConfig) -> str:
    """Why a task does not ask about a line; empty when it does."""
    if task in ("steer", "erc"):
        return "unlabelled" if line.label is None else ""
    if line.label is None and not rules.context_lines:
        return "context"
    if task == "role_play":
        if line.turn < rules.min_previous:
            return "no_history"
        return "few_words" if _word_count(line.text) < rules.min_words else ""
    return "alone" if len({said.speaker for said in conversation.lines}) < rules.min_speakers else ""


def _word_count(text: str) -> int:
    return len(_WORD.findall(text))


def _seeds(
    reasons: Mapping[LineKey, str],
    held: Mapping[LineKey, ErcExample],
    labels: Sequence[str],
    config: PromptConfig,
    count: TokenCounter | None,
) -> list[ErcExample]:
    """The seeds as examples, in the order given.

    Raises RapportError for one that is not a labelled line of train, that gives no reasons or the wrong label, or that is longer than
    there is room for, and for seeds that leave a label out.
    """
    for key in reasons:
        if key.split != "train":
            raise RapportError(f"the seed {key} is of {key.split}: seeds are lines of train")
        if key not in held:
            raise RapportError(f"the seed {key} is no labelled line of train")
        if not reasons[key].strip():
            raise RapportError(f"the seed {key} has no reasons: wanted a sentence or two that speak for <{held[key].gold}>")
    found = [with_reasons(held[key], text) for key, text in reasons.items()]
    for example in found:
        length = 0 if count is None else count(example.input) + count(example.target) + MARKS
        if length > config.max_tokens:
            raise RapportError(
                f"the seed {example.example_id} takes {length} tokens, max_tokens is {config.max_tokens}: "
                "shorten its reasons or raise answer_tokens"
            )
    if missing := [label for label in labels if label not in {example.gold for example in found}]:
        raise RapportError(f"no seed has the label {', '.join(missing)}: wanted every label at least once")
    return found
