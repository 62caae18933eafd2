"""From prepared corpora and dialogues to the examples of the three stages.

Stage 1 transcribes any corpus with words; stages 2 and 3 want emotions too. A dialogue is told by every speaker who said its sentence with
its emotion, so that one scenario gives many examples. How prompts are worded is left to the model.
"""

import string
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.core.examples import Example, Stage
from rapport.core.schema import LEFT_OUT, SPLITS, Utterance
from rapport.datasets.card import has_card, read_card
from rapport.datasets.dialogues.emosc import Scenario, sentence_key
from rapport.datasets.emosds import splits
from rapport.datasets.splits import SplitConfig, plain_text

_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation.replace("'", "") + "“”„«»…–—", " "))


class SidesConfig(Config):
    """Who is trained, validated and tested on, in all stages alike."""

    method: Literal["disjoint", "given", "upstream"] = "disjoint"
    """disjoint shares no speaker, sentence or dialogue; given keeps the sides of the prepared corpora; upstream draws rows as published."""
    split: SplitConfig = SplitConfig(validation_sentences=0.1, test_sentences=0.1)
    """Sides of the speakers of each corpus, as they were prepared unless told, and shares of the sentences that several sides say."""
    fewest_sentences: int = Field(default=20, ge=1)
    """A corpus of fewer sentences, which everybody says, has them on all sides; they cannot be held out."""
    shrinking_list: bool = False
    """upstream only: lose half of the rows of stage 3, as the published code does."""


class LimitsConfig(Config):
    """How much of it."""

    asr_rows: int | None = Field(default=50_000, ge=1)
    """Most rows on the training side of stage 1, drawn at random."""
    per_emotion: int | None = Field(default=None, ge=1)
    """Most rows of one emotion on the training side of stages 2 and 3."""
    held_out: int | None = Field(default=None, ge=1)
    """Most rows of one emotion (in stage 1, of all) on the validation and on the test side; variants of a dialogue by one speaker are
    drawn together."""


def usable(rows: Iterable[Utterance], units: Container[str] | None) -> tuple[list[Utterance], Counter[str]]:
    """The rows that have words, a side and units, and how many others there are for each reason; `units` None asks for none."""
    kept, left_out = [], Counter[str]()
    for row in rows:
        if reason := _unusable(row, units):
            left_out[reason] += 1
        else:
            kept.append(row)
    return kept, left_out


def fixed_corpora(rows: Iterable[Utterance], fewest: int) -> set[str]:
    """Names of the corpora whose sentences everybody says: their card tells so, or they have fewer than `fewest`."""
    sentences: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        sentences[row.corpus].add(plain_text(row.text))
    return {name for name, texts in sentences.items() if len(texts) < fewest or (has_card(name) and read_card(name).fixed_sentences)}


def asr_examples(rows: Iterable[Utterance], *, plain: bool = True) -> list[Example]:
    """Stage 1. With `plain` the words are written in lower case without punctuation, as LibriSpeech's are in the published form."""
    return [replace(_example(1, row), text=asr_text(row.text or "") if plain else _trimmed(row.text)) for row in rows]


def asr_text(text: str) -> str:
    """The words in lower case, apostrophes kept, no other punctuation."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def emotion_examples(rows: Iterable[Utterance], emotions: Sequence[str]) -> list[Example]:
    """Stage 2: the rows of these emotions, case and punctuation kept."""
    return [_example(2, row) for row in rows if row.emotion in emotions]


def dialogue_examples(
    rows: Iterable[Utterance], scenarios: Iterable[Scenario], emotions: Sequence[str], *, keep_case: bool = False
) -> tuple[list[Example], Counter[str]]:
    """Stage 3: every variant of a scenario with every recording of its sentence in its emotion, and how many were left out for what.

    Sentences are matched by `sentence_key`; `keep_case` matches case too, as published. A scenario is skipped when the words of a variant
    were said by nobody, and a variant when nobody said them with its emotion, or an emotion of it is not among `emotions`.
    """
    recordings: dict[tuple[str, str | None], list[Utterance]] = defaultdict(list)
    known: set[str] = set()
    for row in rows:
        key = sentence_key(row.text or "", keep_case=keep_case)
        known.add(key)
        recordings[key, row.emotion].append(row)
    found: list[Example] = []
    skipped = Counter[str]()
    for scenario in scenarios:
        keys = [sentence_key(turn.text, keep_case=keep_case) for turn in scenario.current]
        if not all(key in known for key in keys):
            skipped["scenarios whose words nobody says"] += 1
            continue
        for variant, (key, current, reply) in enumerate(zip(keys, scenario.current, scenario.reply, strict=True)):
            if current.emotion not in emotions or reply.emotion not in emotions:
                skipped["variants of another emotion"] += 1
            elif not recordings[key, current.emotion]:
                skipped["variants that nobody says with that emotion"] += 1
            found += [
                replace(
                    _example(3, row),
                    example_id=f"3/{scenario.dialogue_id(variant)}/{row.utterance_id}",
                    history=scenario.history,
                    reply_text=reply.text,
                    reply_emotion=reply.emotion,
                    dialogue_id=scenario.dialogue_id(variant),
                    variant=variant,
                )
                for row in recordings[key, current.emotion]
                if current.emotion in emotions and reply.emotion in emotions
            ]
    return found, skipped


def place(stages: Mapping[Stage, Sequence[Example]], emotions: Sequence[str], sides: SidesConfig, limits: LimitsConfig) -> list[Example]:
    """The examples of all stages on their sides, cut to the limits and numbered for their prompts.

    Raises RapportError when a stage has examples and none to train on.
    """
    placed: list[Example] = []
    for stage, examples in sorted(stages.items()):
        rows = list(examples)
        if sides.method == "upstream":
            rows = _as_published(stage, rows, emotions, sides.shrinking_list)
        elif sides.method == "disjoint" and stage == 3:
            rows = splits.disjoint_dialogues(rows, shares=sides.split.sentence_shares, seed=sides.split.seed)
        most = limits.asr_rows if stage == 1 else limits.per_emotion
        by: Callable[[Example], str | None] = (lambda e: None) if stage == 1 else (lambda e: e.emotion)
        caps = {"train": most, "validation": limits.held_out, "test": limits.held_out}
        rows = splits.capped(rows, caps, sides.split.seed, by, splits.told_alike)
        if rows and not any(e.split == "train" for e in rows):
            raise RapportError(
                f"stage {stage} has {len(rows)} examples and none to train on: lower sides.split.test and sides.split.validation, or their "
                "sentences, or set sides.method given"
            )
        placed += rows
    return placed


def with_prompts(examples: Sequence[Example], choose: Callable[[int], int]) -> list[Example]:
    """The examples with the wording that `choose` gives to each place within its stage and side."""
    places = Counter[tuple[int, str]]()
    found = []
    for example in examples:
        found.append(replace(example, prompt=choose(places[example.stage, example.split])))
        places[example.stage, example.split] += 1
    return found


def _unusable(row: Utterance, units: Container[str] | None) -> str | None:
    if plain_text(row.text) is None:
        return "no text"
    if row.split == LEFT_OUT:
        return "speaker and sentence on different sides"
    if row.split not in SPLITS:
        return "no side"
    return "no units" if units is not None and row.utterance_id not in units else None


def _as_published(stage: Stage, rows: list[Example], emotions: Sequence[str], shrinking: bool) -> list[Example]:
    if stage == 1:
        return splits.upstream_rows(rows)
    if stage == 2:
        return splits.upstream_by_emotion(rows, emotions)
    return splits.upstream_dialogues(rows, emotions, shrinking=shrinking)


def _example(stage: Stage, row: Utterance) -> Example:
    return Example(
        example_id=f"{stage}/{row.utterance_id}",
        stage=stage,
        split=str(row.split),
        utterance_id=row.utterance_id,
        corpus=row.corpus,
        text=_trimmed(row.text),
        emotion=row.emotion,
        speaker_id=row.speaker_id,
        duration_s=row.duration_s,
    )


def _trimmed(text: str | None) -> str:
    return (text or "").strip()
