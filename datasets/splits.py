"""Train, validation and test: who is on which side, and a report of what leaks from one side to another.

Each corpus is split on its own and the parts are merged at training. Sides share no speaker and no dialogue by default; a split by
utterance must be asked for by name. Where every speaker says the same sentences, sides can only share neither when rows are left out: their
split is `left_out`. scikit-learn and SciPy are imported where they are used, so that a job's `--help` stays quick.
"""

import hashlib
import logging
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from rapport.core import plugins
from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.core.schema import LEFT_OUT, SPLITS, Utterance
from rapport.datasets.card import has_card, read_card

log = logging.getLogger(__name__)

GroupField = Literal["speaker_id", "dialogue_id", "text"]


class SplitConfig(Config):
    """How one corpus is divided."""

    method: Literal[
        "auto", "given", "speaker", "speaker_and_sentence", "published", "listed", "kfold", "all_train", "all_test", "random_utterance"
    ] = "auto"
    """auto keeps the splits that the corpus itself gives to every row, and is `speaker` otherwise; speaker_and_sentence holds out speakers
    and sentences at once and leaves out rows of one with the other; published follows a published split; listed holds out those named
    below; kfold tests on fold `fold` of `folds`; all_train and all_test give one side; random_utterance lets speakers fall on both sides,
    which flatters every figure."""
    name: str = "published"
    """Which published split of the corpus, for method published."""
    validation: float = Field(default=0.1, ge=0, lt=1)
    """Share of all groups held out to select models on."""
    test: float = Field(default=0.2, ge=0, lt=1)
    """Share of all groups held out for the last measurement."""
    validation_sentences: float | None = Field(default=None, ge=0, lt=1)
    """Share of all sentences held out with the validation speakers, for method speaker_and_sentence; as `validation` unless told."""
    test_sentences: float | None = Field(default=None, ge=0, lt=1)
    """Share of all sentences held out with the test speakers, for method speaker_and_sentence; as `test` unless told."""
    validation_speakers: tuple[str, ...] = ()
    """Speakers to validate on, for method listed, such as ravdess/01."""
    test_speakers: tuple[str, ...] = ()
    """Speakers to test on, for method listed."""
    folds: int = Field(default=5, ge=2)
    """Number of folds, for method kfold."""
    fold: int = Field(default=0, ge=0)
    """Which fold is the test side, from 0, for method kfold."""
    keep_together: tuple[GroupField, ...] = ("speaker_id", "dialogue_id")
    """What may not lie on two sides; add text where sentences are many, so that none is heard on both."""
    seed: int = 42
    """Seed of the draw of groups."""

    @model_validator(mode="after")
    def _consistent(self) -> "SplitConfig":
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on: their sum must be below 1")
        if sum(self.sentence_shares) >= 1:
            raise ValueError(f"shares of sentences {self.sentence_shares} leave none to train on: their sum must be below 1")
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist: folds are counted from 0 to {self.folds - 1}")
        if both := set(self.validation_speakers) & set(self.test_speakers):
            raise ValueError(f"speakers both to validate and to test on: {', '.join(sorted(both))}")
        return self

    @property
    def sentence_shares(self) -> tuple[float, float]:
        """Shares of sentences for validation and for test."""
        return (
            self.validation if self.validation_sentences is None else self.validation_sentences,
            self.test if self.test_sentences is None else self.test_sentences,
        )


def assign_splits(rows: Sequence[Utterance], config: SplitConfig) -> list[Utterance]:
    """The rows of one corpus in the same order, each with its split, which is `left_out` where sides would share it.

    Rows that tell neither speaker, emotion nor text (noise, music) are material for training and always go there.
    Raises RapportError when there are too few groups, no speaker is known, or a named split or speaker does not exist.
    """
    spoken = [r for r in rows if not _is_background(r)]
    sides = _sides(spoken, config) if spoken else {}
    return [r.with_split(sides.get(r.utterance_id, "train")) for r in rows]


def side_of_sentence(text: str, validation: float, test: float, seed: int = 42) -> str:
    """The side on which a sentence lies, `train`, `validation` or `test`, by its words and the seed alone: the same in every corpus.

    `validation` and `test` are shares of all sentences. Case, punctuation and spacing do not matter.
    """
    digest = hashlib.sha256(f"{seed}\0{plain_text(text) or ''}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "test" if place < test else "validation" if place < test + validation else "train"


def leak_report(
    rows: Iterable[Utterance], content_hashes: Mapping[str, str] | None = None, *, fixed_sentences: bool | None = None
) -> dict[str, Any]:
    """What lies on more than one side: a dict of `clean`, `counts` (rows of each side), `speakers`, `dialogues`, `sentences`, `contents`.

    Each of the last four has `distinct`, `unknown` (rows without it), `shared` (value to its sides, the first 100), `shared_count` and
    `informational`. `content_hashes` maps utterance ids to a hash of the audio. Shared sentences are informational, and do not make a
    split unclean, where every speaker has the same few: a corpus' card says so, and a corpus without a card is taken for one of those,
    unless `fixed_sentences` is given. Rows that a split left out are counted and lie on no side.
    """
    all_rows = list(rows)
    listed = [r for r in all_rows if r.split != LEFT_OUT]
    if fixed_sentences is None:
        fixed_sentences = all(not has_card(c) or read_card(c).fixed_sentences for c in {r.corpus for r in listed})
    hashes = content_hashes or {}
    report: dict[str, Any] = {
        "speakers": _shared([(r.speaker_id, r.split) for r in listed]),
        "dialogues": _shared([(r.dialogue_id, r.split) for r in listed]),
        "sentences": _shared([(plain_text(r.text), r.split) for r in listed], informational=fixed_sentences),
        "contents": _shared([(hashes.get(r.utterance_id), r.split) for r in listed]),
    }
    clean = not any(kind["shared_count"] for kind in report.values() if not kind["informational"])
    return {"clean": clean, "counts": dict(sorted(Counter(str(r.split) for r in all_rows).items())), **report}


def plain_text(text: str | None) -> str | None:
    """The sentence without case, punctuation and spacing, so that the same words count as the same sentence."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text).split()).lower() or None if text else None


def _sides(rows: Sequence[Utterance], config: SplitConfig) -> Mapping[str, str]:
    given = all(r.split in (*SPLITS, LEFT_OUT) for r in rows)
    match config.method:
        case "given" | "auto" if given:
            return {r.utterance_id: str(r.split) for r in rows}
        case "given":
            lacking = next(r for r in rows if r.split not in (*SPLITS, LEFT_OUT))
            raise RapportError(f"split.method given: {lacking.utterance_id} has split {lacking.split!r}, wanted one of {', '.join(SPLITS)}")
        case "all_train" | "all_test":
            return {r.utterance_id: config.method.removeprefix("all_") for r in rows}
        case "published":
            return _published(rows, config.name)
        case "listed":
            return _by_name(rows, {"validation": config.validation_speakers, "test": config.test_speakers})
        case "speaker_and_sentence":
            return _both(rows, config)
        case "random_utterance":
            log.warning("split by utterance: speakers fall on both sides, so figures on this split say little about new speakers")
            return _hold_out({r.utterance_id: r.utterance_id for r in rows}, config)
    groups = _groups(rows, config)
    return _fold(rows, groups, config) if config.method == "kfold" else _hold_out(groups, config)


def _published(rows: Sequence[Utterance], name: str) -> Mapping[str, str]:
    """Sides by a corpus' list of speakers held out, or by its function that tells the side of a row."""
    corpus = rows[0].corpus
    module = plugins.load("datasets.corpora", corpus) if corpus in plugins.available("datasets.corpora") else None
    by_speaker: Mapping[str, Mapping[str, tuple[str, ...]]] = getattr(module, "HELD_OUT", {})
    by_row: Mapping[str, Callable[[Utterance], str | None]] = getattr(module, "PARTITIONS", {})
    if name in by_speaker:
        return _by_name(rows, by_speaker[name])
    if name not in by_row:
        raise RapportError(f"split.name {name!r}: corpus {corpus} has {', '.join([*by_speaker, *by_row]) or 'no published split'}")
    sides: dict[str, str] = {}
    for row in rows:
        side = by_row[name](row)
        if side is None:
            raise RapportError(f"split.name {name!r}: {row.audio_path} does not tell on which side it lies")
        sides[row.utterance_id] = side
    return sides


def _by_name(rows: Sequence[Utterance], sides: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    side_of = {speaker: side for side, speakers in sides.items() for speaker in speakers}
    present = {r.speaker_id for r in rows if r.speaker_id}
    for side, speakers in sides.items():
        if speakers and not present & set(speakers):
            raise RapportError(
                f"none of the {side} speakers {', '.join(speakers)} is in the corpus, which has {', '.join(sorted(present)[:10])}"
                f"{' ...' if len(present) > 10 else ''}"
            )
    return {r.utterance_id: side_of.get(r.speaker_id or "", "train") for r in rows}


def _both(rows: Sequence[Utterance], config: SplitConfig) -> dict[str, str]:
    """Side by speaker where the sentence lies on the same side, left out where it does not."""
    speakers = _hold_out(_groups(rows, config), config)
    sides: dict[str, str] = {}
    for row in rows:
        speaker_side = speakers[row.utterance_id]
        same = row.text is None or side_of_sentence(row.text, *config.sentence_shares, config.seed) == speaker_side
        sides[row.utterance_id] = speaker_side if same else LEFT_OUT
    for side in sorted(set(speakers.values())):
        if side not in sides.values():
            raise RapportError(
                f"split.method speaker_and_sentence: the {side} speakers say none of the {side} sentences, of which there are too few; "
                f"raise split.{'test' if side == 'train' else side}_sentences, choose another split.seed, or set split.method speaker"
            )
    left_out = sum(side == LEFT_OUT for side in sides.values())
    log.info("%d of %d rows left out, so that sides share neither speaker nor sentence", left_out, len(rows))
    return sides


def _hold_out(group_of: Mapping[str, str], config: SplitConfig) -> dict[str, str]:
    names = sorted(set(group_of.values()))
    test = _draw(names, config.test, config.seed)
    rest = [n for n in names if n not in test]
    validation = _draw(rest, config.validation / (1 - config.test), config.seed)
    return _place(group_of, validation, test)


def _fold(rows: Sequence[Utterance], group_of: Mapping[str, str], config: SplitConfig) -> dict[str, str]:
    from sklearn.model_selection import StratifiedKFold

    names = sorted(set(group_of.values()))
    if len(names) < config.folds:
        raise RapportError(f"split.folds {config.folds}: the corpus has only {len(names)} groups that can be told apart")
    # With few speakers, a fold of one sex measures the other's voices instead: spread both over the folds.
    gender_of = {group_of[r.utterance_id]: r.gender or "unknown" for r in rows}
    strata = [gender_of[n] for n in names]
    if max(Counter(strata).values()) < config.folds:
        strata = ["all"] * len(names)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = list(StratifiedKFold(config.folds, shuffle=True, random_state=config.seed).split(names, strata))
    test = {names[i] for i in folds[config.fold][1]}
    rest = [n for n in names if n not in test]
    validation = _draw(rest, min(config.validation * len(names) / len(rest), 0.999), config.seed)
    return _place(group_of, validation, test)


def _draw(names: Sequence[str], share: float, seed: int) -> set[str]:
    """A share of the groups, rounded up, as GroupShuffleSplit draws them: this is what reproduces published splits."""
    from sklearn.model_selection import GroupShuffleSplit

    if share == 0:
        return set()
    # A hair less than the product, so that a share of a share that comes out whole is not rounded up by its last digit.
    count = math.ceil(share * len(names) - 1e-9)
    if count >= len(names):
        raise RapportError(
            f"only {len(names)} speakers (or other groups) to draw a share of {share:.2f} from: "
            "lower split.validation or split.test, or set split.method to all_train, all_test or random_utterance"
        )
    drawn = next(GroupShuffleSplit(1, test_size=count, random_state=seed).split(names, groups=names))[1]
    return {names[i] for i in drawn}


def _place(group_of: Mapping[str, str], validation: set[str], test: set[str]) -> dict[str, str]:
    return {row: "test" if group in test else "validation" if group in validation else "train" for row, group in group_of.items()}


def _groups(rows: Sequence[Utterance], config: SplitConfig) -> dict[str, str]:
    """Utterance id to the name of its group: rows that share any kept-together value, directly or through other rows, are one group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    unknown = sum(r.speaker_id is None and r.dialogue_id is None for r in rows)
    if unknown == len(rows):
        raise RapportError(
            f"corpus {rows[0].corpus}: no speaker is known, so speakers cannot be kept apart; give the option that tells the speaker, "
            "or ask for split.method random_utterance by name"
        )
    if unknown:
        log.warning("%d of %d rows tell no speaker: each is a group of its own, and may leak a speaker", unknown, len(rows))
    node_of: dict[tuple[str, str], int] = {}
    edges: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        for field in config.keep_together:
            value = plain_text(row.text) if field == "text" else getattr(row, field)
            if value:
                edges.append((index, len(rows) + node_of.setdefault((field, value), len(node_of))))
    size = len(rows) + len(node_of)
    sources, targets = zip(*edges, strict=True) if edges else ((), ())
    _, labels = connected_components(coo_matrix((np.ones(len(edges)), (sources, targets)), shape=(size, size)), directed=False)
    # A group is called after its first speaker or dialogue, so that its place in the draw depends on names and not on row order.
    names: dict[int, str] = {}
    for row, label in zip(rows, labels[: len(rows)], strict=True):
        name = row.speaker_id or row.dialogue_id or row.utterance_id
        names[label] = min(names.get(label, name), name)
    return {row.utterance_id: names[label] for row, label in zip(rows, labels[: len(rows)], strict=True)}


def _shared(pairs: Iterable[tuple[str | None, str | None]], *, informational: bool = False) -> dict[str, Any]:
    sides: dict[str, set[str]] = defaultdict(set)
    unknown = 0
    for value, side in pairs:
        if value is None:
            unknown += 1
        else:
            sides[value].add(str(side))
    shared = {value: sorted(s) for value, s in sorted(sides.items()) if len(s) > 1}
    return {
        "distinct": len(sides),
        "unknown": unknown,
        "shared_count": len(shared),
        "shared": dict(list(shared.items())[:100]),
        "informational": informational,
    }


def _is_background(row: Utterance) -> bool:
    return row.speaker_id is None and row.dialogue_id is None and row.emotion is None and row.text is None
