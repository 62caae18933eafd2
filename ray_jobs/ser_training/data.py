"""From prepared corpora to the clips of one training: which rows are on which side, and what is odd about them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rapport.core.audio import trim_silence
from rapport.core.errors import RapportError
from rapport.core.schema import Utterance
from rapport.datasets.prepared import PreparedCorpus, load_noise, locate_prepared, merge, open_prepared
from rapport.datasets.splits import leak_report
from rapport.datasets.stages.augment import make_augment
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.training.clips import ClassifierData, Clips, Samples

HELD_OUT = "held_out"
"""Name of the test set of the corpora that are trained on; the others are called after their corpus."""


@dataclass(frozen=True)
class Sources:
    """The folders of prepared corpora that one run reads, now and whenever it is resumed."""

    corpora: tuple[str, ...]
    test_corpora: tuple[str, ...] = ()
    noise: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Sources":
        """What `asdict` gave, after a way through JSON."""
        return cls(tuple(value["corpora"]), tuple(value["test_corpora"]), value["noise"])


def find_sources(config: TrainSerConfig) -> Sources:
    """The folders that the configuration names: the newest preparation of a name, or a folder or URI as given.

    Raises RapportError for a corpus that is not prepared.
    """

    find = partial(locate_prepared, config.storage)
    return Sources(tuple(map(find, config.corpora)), tuple(map(find, config.test_corpora)), config.noise and find(config.noise))


@dataclass(frozen=True)
class Selection:
    """The rows of one training, and where their speech is."""

    train: list[Utterance]
    validation: list[Utterance]
    tests: dict[str, list[Utterance]]
    corpora: tuple[str, ...]
    """Names of the corpora, in the order of the domain branch."""
    speech: PreparedCorpus
    excluded: dict[str, int]
    """Rows left out, by what they are labelled."""


def select_rows(config: TrainSerConfig, sources: Sources) -> Selection:
    """The labelled rows of every side; rows without an emotion that the model tells apart are left out and counted.

    Raises RapportError when nothing is left to train on.
    """
    trained = [open_prepared(path).resplit(config.split) for path in sources.corpora]
    further = [open_prepared(path) for path in sources.test_corpora if path not in sources.corpora]
    excluded: Counter[str] = Counter()

    def labelled(rows: Iterable[Utterance]) -> list[Utterance]:
        kept = []
        for row in rows:
            if row.emotion in config.model.emotions:
                kept.append(row)
            else:
                excluded[row.emotion or f"unlabelled ({row.emotion_raw})"] += 1
        return kept

    merged = merge(trained)
    sides = {side: labelled(merged.split(side)) for side in ("train", "validation", "test")}
    tests = {HELD_OUT: sides["test"], **{corpus.name: labelled(corpus.rows) for corpus in further}}
    for corpus in trained:
        if corpus.path in sources.test_corpora:
            tests[corpus.name] = [row for row in sides["test"] if row.corpus == corpus.name]
    if not sides["train"]:
        raise RapportError(
            f"nothing to train on: none of the {len(merged.rows)} rows of {', '.join(config.corpora)} is on the training side with one of "
            f"{', '.join(config.model.emotions)}; see split.method and model.emotions"
        )
    speech = merge([*trained, *further])
    # Rows carry the name of their corpus, which a user's own may share with another's folder.
    names = tuple(sorted({row.corpus for row in speech.rows}, key=[row.corpus for row in speech.rows].index))
    return Selection(sides["train"], sides["validation"], {k: v for k, v in tests.items() if v}, names, speech, dict(excluded))


def describe(selection: Selection, emotions: Sequence[str]) -> dict[str, Any]:
    """`clips` by side and corpus, those `excluded` by label, and `warnings` in plain words."""
    sides = {"train": selection.train, "validation": selection.validation, **selection.tests}
    counts = {side: dict(Counter(row.corpus for row in rows)) for side, rows in sides.items()}
    homes = {e: sorted({row.corpus for row in selection.train if row.emotion == e}) for e in emotions}
    warnings = [f"no training clip is {e}: the model cannot learn it (model.emotions)" for e in emotions if not homes[e]]
    if len({row.corpus for row in selection.train}) > 1:
        warnings += [
            f"{e} occurs in {homes[e][0]} alone: the model may tell it by how that corpus was recorded"
            for e in emotions
            if len(homes[e]) == 1
        ]
    held_out = selection.tests.get(HELD_OUT, [])
    leaks = leak_report([*selection.train, *selection.validation, *held_out])
    warnings += [
        f"{leaks[kind]['shared_count']} {kind} lie on more than one side, which flatters the figures (split.method)"
        for kind in ("speakers", "dialogues", "sentences")
        if leaks[kind]["shared_count"] and not leaks[kind]["informational"]
    ]
    if not any(row.speaker_id for row in selection.train):
        warnings.append("no speaker is known, so figures may be of speakers that the model was trained on")
    return {"clips": counts, "excluded": selection.excluded, "warnings": warnings}


def told(facts: Mapping[str, Any]) -> Iterator[str]:
    """What `describe` found, in lines."""
    for side, counts in facts["clips"].items():
        yield f"{side}: " + (", ".join(f"{count} clips of {corpus}" for corpus, count in counts.items()) or "none")
    yield from (f"left out: {count} clips labelled {label}" for label, count in facts["excluded"].items())
    yield from (f"warning: {warning}" for warning in facts["warnings"])


def build_data(config: TrainSerConfig, sources: Sources) -> ClassifierData:
    """The clips of one training, with their augmentation."""
    selection = select_rows(config, sources)
    speech, trims = selection.speech, config.model.decoding.trim_silence

    def load(utterance_id: str) -> Samples:
        samples = speech.waveform(utterance_id)
        return trim_silence(samples) if trims else samples

    def clips(rows: Sequence[Utterance]) -> Clips:
        return Clips(rows, load, config.model.emotions, selection.corpora)

    noises = load_noise(open_prepared(sources.noise)) if sources.noise and config.augment.noise.p > 0 else []
    return ClassifierData(
        clips(selection.train),
        clips(selection.validation) if selection.validation else None,
        {name: clips(rows) for name, rows in selection.tests.items()} if config.test else {},
        make_augment(config.augment, noises) if config.augment.active else None,
    )


def spread(clips: Clips, most: int) -> Iterable[np.ndarray]:
    """The speech of at most so many clips, taken evenly from all, so that a small share speaks for every corpus and speaker."""
    chosen = np.linspace(0, len(clips) - 1, min(most, len(clips))).round().astype(int)
    return (clips.load(clips.rows[i].utterance_id) for i in chosen)
