"""The published self-training as it really ran, faults included, to measure against. Nothing else uses these functions.

What is kept is what a fault does to data: the label that is read from an answer, the label that it is compared with, the file that is left
behind, the prompt that is cut on the wrong side. Numbers in the docstrings are sections of the CoE specification.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rapport.core.conversations import LABELS
from rapport.core.errors import RapportError

ALIASES: Mapping[str, str] = {"new_emorynlpv2": "emorynlp", "new_iemocap": "iemocap"}
"""Names under which the published filter knows a corpus; every other name gets the labels of MELD (7.1.3)."""
PROMPT_TOKENS = 1399
"""What is left of a prompt for training; evaluation leaves one more (4.2)."""
ANSWER_OFFSET = 256
"""Token from which an output is decoded when its prompt is not found in it (2.4)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the published files."""

    input: str
    target: str


def filter_labels(dataset: str) -> tuple[str, ...]:
    """The labels that the filter looks for under the name of a data set: MELD's under every name but two (7.1.3)."""
    return LABELS[ALIASES.get(dataset, "meld")]


def table_labels(dataset: str) -> tuple[str, ...]:
    """The labels that training and scores know under a name.

    Raises RapportError for the very names under which the filter works (7.1.3).
    """
    if dataset not in LABELS:
        raise RapportError(f"the published table of labels has no {dataset!r}: wanted one of {', '.join(LABELS)}")
    return LABELS[dataset]


def listed_label(text: str, dataset: str) -> str | None:
    """The label that the filter reads, in small letters: the first of the list, not of the text, that stands anywhere in brackets (2.4)."""
    folded = text.lower()
    return next((label.lower() for label in filter_labels(dataset) if f"<{label.lower()}>" in folded), None)


def accepts(text: str, target: str, dataset: str) -> bool:
    """Whether the filter takes an answer for right (2.4)."""
    return listed_label(text, dataset) == target.lower()


def gathered_order(items: int, workers: int) -> list[int]:
    """Which item each gathered output belongs to: worker by worker, each with every n-th item, the last rounds filled up from the start."""
    if not items:
        return []
    padded = -(-items // workers) * workers
    return [place % items for worker in range(workers) for place in range(worker, padded, workers)]


def compared_pairs(items: int, workers: int) -> list[tuple[int, int]]:
    """(item answered, item whose label the answer is compared with) for every output that several workers write (7.1.2).

    Each worker compares its i-th output with the i-th label of the whole pool: with two workers, only the first pair is right.
    """
    share = -(-items // workers) if items else 0
    return [(item, place % share) for place, item in enumerate(gathered_order(items, workers))]


def filter_round(pool: Sequence[Record], answers: Sequence[str], dataset: str, workers: int = 1) -> tuple[list[Record], list[Record]]:
    """What a round adds to the memory, and the pool that it leaves, given the answer to each record of the pool.

    With several workers right answers are refused, wrong ones accepted, refused records written back with the label of another one, and
    records of the filled-up rounds appear twice (7.1.2, 7.2.12).
    """
    memory: list[Record] = []
    unsolved: list[Record] = []
    for item, compared in compared_pairs(len(pool), workers):
        gold = pool[compared].target
        if accepts(answers[item], gold, dataset):
            memory.append(Record(pool[item].input, answers[item]))
        else:
            unsolved.append(Record(pool[item].input, gold))
    # A pool that was solved to the last record is not written, so that the old one is asked again (7.2.12).
    return memory, unsolved or list(pool)


def training_records(seeds: Sequence[Record], memory: Sequence[Record]) -> list[Record]:
    """The records that training sees in any round: the seeds, whatever the memory holds by then (7.1.1)."""
    del memory
    return list(seeds)


def cut_prompt(ids: Sequence[int], most: int = PROMPT_TOKENS) -> list[int]:
    """The tokens that are left of a prompt: the first ones, so that the line asked about and the question go first (7.2.9)."""
    return list(ids[:most])


def answer_of(output: str, prompt: str, tail: str) -> str:
    """The answer in a decoded output: what is left when every copy of the prompt is taken out.

    `tail` is the output decoded from token `ANSWER_OFFSET` on, which counts when the prompt is not found: with a longer prompt, that is
    a part of the prompt (7.2.10).
    """
    return (output.replace(prompt, "") if prompt in output else tail).strip()
