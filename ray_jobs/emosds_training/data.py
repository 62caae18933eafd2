"""The examples of one stage as the training loop reads them, and what there is to say about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, from_numpy

from rapport.core.errors import RapportError
from rapport.core.examples import STAGES, Example, Stage
from rapport.datasets.emosds.examples import read_examples
from rapport.datasets.unit_store import UnitStore
from rapport.models.emosds.collate import Collator
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.prompts import instruction, wordings
from rapport.ray_jobs.emosds_training.config import StageRunConfig
from rapport.ray_jobs.emosds_training.sources import Sources
from rapport.training.sampler import IntArray, derive_seed
from rapport.training.sft import LanguageData


@dataclass(frozen=True, eq=False)
class StageExamples:
    """One side of one stage. Examples that are longer than the model's `max_tokens` are left out."""

    examples: list[Example]
    lengths: IntArray
    """[N] tokens of each."""
    too_long: int
    """How many were left out."""
    collator: Collator
    store: UnitStore | None
    rehearsed: int = 0
    """How many of the examples, at their end, are of stages before."""

    @classmethod
    def read(cls, sources: Sources, stage: Stage, split: str, collator: Collator, store: UnitStore | None) -> "StageExamples":
        """The examples of a side, with their lengths, for which no speech is read."""
        rows = read_examples(sources.examples, stage, split)
        heard = [store.lengths(row.utterance_id) if store is not None else (0, 0) for row in rows]
        lengths = collator.lengths(rows, heard)
        fits = lengths <= collator.config.max_tokens
        return cls([row for row, fit in zip(rows, fits, strict=True) if fit], lengths[fits], int((~fits).sum()), collator, store)

    def batch(self, indices: IntArray) -> dict[str, Tensor]:
        """The model's arguments for these examples."""
        rows = [self.examples[i] for i in indices]
        return self.collator(rows, [self._speech(row) for row in rows])

    def residuals(self, clips: int) -> Tensor:
        """Residuals [T, D] of at most so many clips, taken evenly from all of this stage."""
        own = len(self.examples) - self.rehearsed
        chosen = np.unique(np.linspace(0, own - 1, min(clips, own)).round().astype(int))
        assert self.store is not None
        found = [self.store.get(self.examples[i].utterance_id).residuals for i in chosen]
        return from_numpy(np.concatenate([r.astype(np.float32) for r in found if r is not None]))

    def _speech(self, row: Example) -> Any:
        heard = self.collator.config.hears_residuals(row.stage)
        return None if self.store is None else self.store.get(row.utterance_id, residuals=heard)


def read_stage(config: StageRunConfig, sources: Sources, collator: Collator) -> tuple[StageExamples, StageExamples]:
    """The training and the validation side.

    The training side ends with the examples of earlier stages that are rehearsed; validation has this stage's only. Raises RapportError
    when there is nothing to train on.
    """
    store = sources.store()
    train, validation = (StageExamples.read(sources, config.stage, split, collator, store) for split in ("train", "validation"))
    if not train.examples:
        many = f", all {train.too_long} are longer than max_tokens {config.model.max_tokens}" if train.too_long else ""
        raise RapportError(f"{sources.examples} has no training examples of stage {config.stage}{many}: build them, or train other stages")
    return _rehearsed(train, config, sources), validation


def _rehearsed(train: StageExamples, config: StageRunConfig, sources: Sources) -> StageExamples:
    """The training side with as many examples of the stages before, drawn evenly from all of them, as `rehearsal` says."""
    earlier = [StageExamples.read(sources, stage, "train", train.collator, train.store) for stage in STAGES if stage < config.stage]
    rows = [row for side in earlier for row in side.examples]
    count = min(len(rows), round(config.rehearsal * len(train.examples)))
    if not count:
        return train
    lengths = np.concatenate([side.lengths for side in earlier])
    chosen = np.sort(np.random.default_rng(derive_seed(config.seed, "rehearsal", config.stage)).permutation(len(rows))[:count])
    return replace(
        train,
        examples=train.examples + [rows[i] for i in chosen],
        lengths=np.concatenate([train.lengths, lengths[chosen]]),
        rehearsed=count,
    )


def language_data(train: StageExamples, validation: StageExamples) -> LanguageData:
    """Both sides for the loop."""
    return LanguageData(train, validation if validation.examples else None)


def describe(train: StageExamples, validation: StageExamples) -> dict[str, Any]:
    """Examples and tokens of both sides, and how many were too long."""
    return {
        side: {
            "examples": len(rows.examples),
            "tokens": int(rows.lengths.sum()),
            "too_long": rows.too_long,
            "rehearsed": rows.rehearsed,
        }
        for side, rows in (("train", train), ("validation", validation))
    }


def told(facts: dict[str, Any]) -> Iterator[str]:
    """What `describe` found, in lines."""
    for side, found in facts.items():
        left = f", {found['too_long']} left out as too long (model.max_tokens)" if found["too_long"] else ""
        again = f", {found['rehearsed']} of them of earlier stages" if found["rehearsed"] else ""
        yield f"{side}: {found['examples']} examples{again}, {found['tokens']} tokens{left}"


def vocabulary_texts(examples: str, model: EmosdsConfig) -> list[str]:
    """Every text on the training sides of a build and every instruction, from which the embedded tokenizer learns its pieces."""
    worded = [instruction(stage, model, prompt) for stage in STAGES for prompt in range(len(wordings(stage)) if stage < 3 else 1)]
    rows = [row for stage in STAGES for row in read_examples(examples, stage, "train")]
    return list(dict.fromkeys(worded)) + [text for row in rows for text in _texts(row)]


def _texts(row: Example) -> Sequence[str]:
    return [row.text, *(turn.text for turn in row.history), *([row.reply_text] if row.reply_text else [])]
