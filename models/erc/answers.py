"""Which of the model's answers with reasons are good enough to learn from, and how a label is read from one.

An answer gives its reasons first and the label between angle brackets on its last line:

    Ana has repeated the same step without progress, so the tone is exasperated rather than hostile.
    <frustrated>

Where several labels stand in brackets, the last one counts, wherever the first of them stands in the list of labels.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.config import AnswerConfig
from rapport.models.erc.prompt import ANSWER
from rapport.models.erc.templates import line_key
from rapport.models.erc.truncation import TokenCounter

REASONS = ("no_label", "wrong_label", "too_short", "too_long", "copies_prompt", "mentions_hint", "duplicate", "class_full")
"""Why an answer is refused, in the order in which it is looked for."""

_BRACKETS = re.compile(r"<([^<>]*)>")
_WORD = re.compile(r"[^\W_]+")
# What gives away that the label was told. Matched against small letters.
_HINT = re.compile(
    r"\bhints?\b|\bhinted\b"
    r"|\b(?:given|provided|supplied|stated|specified|right|correct|true|gold|expected)\s+(?:label|answer|emotion)\b"
    r"|\b(?:label|answer|emotion)\s+(?:that\s+)?(?:is|was|has been)\s+(?:already\s+)?(?:given|provided|supplied|stated|specified|told)\b"
    r"|\b(?:i|we)\s+(?:was|were|am|are|have been)\s+(?:told|given)\b"
    r"|\bas\s+(?:told|instructed)\b"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an answer."""

    accepted: bool
    parsed: str | None
    """The label that was read; None where there is none."""
    reason: str
    """One of `REASONS`; empty for an accepted answer."""
    text: str = ""
    """The answer down to its label, which is what is to be learned: what a model adds behind the label is no part of it."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """An answer that the model wrote."""

    example_id: str
    text: str
    sample: int = 0
    """Which of the answers to one example, from 0."""
    hinted: bool = False
    """Whether the prompt held the label."""


def reasoned(reasons: str, label: str) -> str:
    """The answer that gives these reasons and then the label; the label is not written twice where they end in it."""
    bracketed = f"<{label}>"
    return f"{reasons.strip().removesuffix(bracketed).rstrip()}\n{bracketed}"


def with_reasons(example: ErcExample, reasons: str) -> ErcExample:
    """The example with an answer to be learned that gives reasons.

    Raises RapportError when the last label in brackets among the reasons is another one.
    """
    text = reasoned(reasons, example.gold)
    inside = find_label(text.removesuffix(f"<{example.gold}>"), example.labels)
    if inside not in (None, example.gold):
        raise RapportError(f"{example.example_id}: the reasons give <{inside}>, wanted <{example.gold}>")
    return replace(example, target=text)


def find_label(text: str, labels: Collection[str]) -> str | None:
    """The last of the labels that stands between angle brackets, letter for letter; None where none does."""
    found = _find(text, labels)
    return found[1] if found else None


def judge(
    text: str,
    gold: str,
    labels: Collection[str],
    prompt: str,
    config: AnswerConfig,
    count: TokenCounter,
    *,
    hinted: bool = False,
    seen: Collection[str] = (),
) -> Verdict:
    """Whether an answer may be learned from.

    `prompt` is the one without a hint; `hinted` tells that the model was shown one, whose traces then are looked for. `count` gives the
    number of tokens of a text. `seen` holds the `fingerprint`s of answers that may not come again.
    """
    found = _find(text, labels)
    if found is None:
        return Verdict(False, None, "no_label", text.strip())
    answer, parsed = found
    tokens = count(answer)
    reason = ""
    if parsed != gold:
        reason = "wrong_label"
    elif tokens < config.min_tokens:
        reason = "too_short"
    elif tokens > config.max_tokens:
        reason = "too_long"
    elif copied_share(answer, prompt, config.copy_words) > config.max_copied:
        reason = "copies_prompt"
    elif hinted and _HINT.search(_reasons(answer).casefold()):
        reason = "mentions_hint"
    elif fingerprint(answer) in seen:
        reason = "duplicate"
    return Verdict(not reason, parsed, reason, answer)


def judge_all(
    rollouts: Iterable[Rollout],
    examples: Mapping[str, ErcExample],
    config: AnswerConfig,
    count: TokenCounter,
    memory: Iterable[tuple[str, str]] = (),
    seed: int = 0,
) -> list[tuple[Rollout, Verdict]]:
    """The verdict on every answer of a round, sorted by example and sample.

    The same answers get the same verdicts in whatever order and from however many workers they come. `memory` holds (example_id, answer) of
    what was accepted before, against which duplicates are looked for. Of several good answers to one example all are accepted as long as
    they differ. `config.class_cap` then takes some back, drawn by `seed`. Raises RapportError for an answer to an unknown example and for
    two answers with the same example, sample and hint.
    """
    seen: dict[str, set[str]] = {}
    for name, text in memory:
        seen.setdefault(_scope(name, config), set()).add(fingerprint(text))
    ordered = sorted(rollouts, key=lambda r: (r.example_id, r.hinted, r.sample))
    verdicts: list[tuple[Rollout, Verdict]] = []
    before: tuple[str, bool, int] | None = None
    for rollout in ordered:
        key = (rollout.example_id, rollout.hinted, rollout.sample)
        if key == before:
            raise RapportError(
                f"{rollout.example_id}: two answers are numbered {rollout.sample}; each sample of an example has its own number"
            )
        before = key
        if rollout.example_id not in examples:
            raise RapportError(f"an answer to {rollout.example_id!r}, which is not among the {len(examples)} examples that were asked")
        example = examples[rollout.example_id]
        known = seen.setdefault(_scope(rollout.example_id, config), set())
        verdict = judge(rollout.text, example.gold, example.labels, example.input, config, count, hinted=rollout.hinted, seen=known)
        if verdict.accepted:
            known.add(fingerprint(verdict.text))
        verdicts.append((rollout, verdict))
    return _capped(verdicts, config.class_cap, seed) if config.class_cap else verdicts


def add_hint(example: ErcExample) -> str:
    """The prompt with the right label told in it, for a second try at what was answered wrongly.

    The answer is learned with the example's own prompt, never with this one.
    """
    hint = f"HINT: the emotion is {example.gold}. Tell what speaks for it as if you had found it yourself, and do not mention this hint."
    if example.input.endswith(ANSWER):
        return f"{example.input.removesuffix(ANSWER)}{hint}\n{ANSWER}"
    return f"{example.input}\n{hint}\n"


def fingerprint(text: str) -> str:
    """The words of an answer in small letters: equal for answers that differ in spaces, case and punctuation alone."""
    return " ".join(_words(text))


def copied_share(answer: str, prompt: str, run: int) -> float:
    """Share of the answer's runs of `run` words that the prompt holds too, the label not counted; 0 for an answer without words.

    An answer of fewer words is one run as long as itself.
    """
    words, source = _words(_reasons(answer)), _words(prompt)
    run = min(run, len(words))
    if not run:
        return 0.0
    there = set(_runs(source, run))
    runs = _runs(words, run)
    return sum(r in there for r in runs) / len(runs)


def _find(text: str, labels: Collection[str]) -> tuple[str, str] | None:
    """The answer down to its last bracketed label, and the label."""
    found = [match for match in _BRACKETS.finditer(text) if match[1] in labels]
    return (text[: found[-1].end()].strip(), found[-1][1]) if found else None


def _reasons(answer: str) -> str:
    return _BRACKETS.sub(" ", answer)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _runs(words: Sequence[str], run: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + run]) for i in range(len(words) - run + 1)]


def _scope(example_id: str, config: AnswerConfig) -> str:
    return str(line_key(example_id)) if config.duplicates == "example" else ""


def _capped(verdicts: list[tuple[Rollout, Verdict]], cap: int, seed: int) -> list[tuple[Rollout, Verdict]]:
    """The same with no more than `cap` accepted of each label, drawn without regard to the order of ids."""

    def draw(place: int) -> str:
        rollout = verdicts[place][0]
        return sha256(f"{seed}/{rollout.example_id}/{rollout.hinted}/{rollout.sample}".encode()).hexdigest()

    by_label: dict[str | None, list[int]] = {}
    for place, (_, verdict) in enumerate(verdicts):
        if verdict.accepted:
            by_label.setdefault(verdict.parsed, []).append(place)
    full = {place for places in by_label.values() for place in sorted(places, key=draw)[cap:]}
    return [
        (rollout, replace(verdict, accepted=False, reason="class_full") if place in full else verdict)
        for place, (rollout, verdict) in enumerate(verdicts)
    ]
