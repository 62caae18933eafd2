"""From answers as they come in to figures: nothing but sums, and the few answers to show, is kept."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rapport.core import storage
from rapport.core.examples import Example, Stage
from rapport.core.progress import progress
from rapport.datasets.emosds.splits import scenario_of
from rapport.ray_jobs.emosds_evaluation.answering import answers
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.subject import Contender, Subject
from rapport.training.contrasts import ContrastTally
from rapport.training.text_metrics import AnswerPair, AnswerTally
from rapport.training.text_scores import Score

_SCORES = pa.map_(pa.string(), pa.float32())
_ASKED = ("example_id", "utterance_id", "corpus", "speaker_id", "dialogue_id", "text", "emotion", "reply_emotion", "reply_text")
_GIVEN = ("given_text", "given_emotion", "given_reply_emotion", "given_reply_text")

PREDICTION_SCHEMA = pa.schema(
    [
        pa.field("system", pa.string(), nullable=False),
        *(pa.field(name, pa.string()) for name in (*_ASKED, *_GIVEN)),
        pa.field("malformed", pa.string()),
        pa.field("output", pa.string()),
        pa.field("finished", pa.bool_()),
        pa.field("tokens", pa.int32()),
        pa.field("recognised", pa.string()),
        pa.field("emotion_scores", _SCORES),
        pa.field("reply_emotion_scores", _SCORES),
    ]
)
"""`predictions.parquet`: what was asked, wanted and given, a row for each example and system."""


class PredictionWriter:
    """Writes predictions batch by batch; the file appears when all are written."""

    def __init__(self, path: str):
        self._fs, self._target = storage.resolve(path)
        # An object store shows a file when it is closed; on a disk it would be seen half-written.
        self._local = isinstance(self._fs, pafs.LocalFileSystem)
        self._written = f"{self._target}.tmp" if self._local else self._target
        self._fs.create_dir(self._target.rpartition("/")[0], recursive=True)
        self._writer = pq.ParquetWriter(self._written, PREDICTION_SCHEMA, filesystem=self._fs, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; what is missing in them is null."""
        self._waiting += [{name: _plain(row.get(name)) for name in PREDICTION_SCHEMA.names} for row in rows]
        if len(self._waiting) >= 2000:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=PREDICTION_SCHEMA))
            self._waiting = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *details: object) -> None:
        if failed is None:
            self._flush()
        self._writer.close()
        if failed is not None:
            self._fs.delete_file(self._written)
        elif self._local:
            self._fs.move(self._written, self._target)


@dataclass
class Measured:
    """One contender's answers, in sums."""

    tally: AnswerTally
    contrast: ContrastTally = field(default_factory=ContrastTally)
    proxy: dict[str, float] = field(default_factory=dict)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The answers to show, by example."""
    tokens: int = 0
    seconds: float = 0.0

    def take(self, system: str, asked: Mapping[str, Example], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Count answers in; gives them beside what was wanted, as `PREDICTION_SCHEMA` has them."""
        pairs = [answer_pair(asked[row["example_id"]], row) for row in rows]
        self.tally.add(pairs)
        self.tokens += sum(row["tokens"] for row in rows)
        for row, pair in zip(rows, pairs, strict=True):
            if dialogue := asked[row["example_id"]].dialogue_id:
                self.contrast.add(scenario_of(dialogue), pair)
        return [_prediction(system, asked[row["example_id"]], row) for row in rows]

    def minus(self, other: "Measured", resamples: int, seed: int) -> dict[str, dict[str, float]]:
        """Each figure less the other's, with the interval of the difference."""
        return {
            **self.tally.minus(other.tally, resamples=resamples, seed=seed),
            **self.contrast.minus(other.contrast, resamples=resamples, seed=seed),
        }

    def report(self, resamples: int, seed: int) -> dict[str, Any]:
        """Everything about the contender, as plain JSON values."""
        found = self.tally.report(resamples=resamples, seed=seed)
        return {
            **found,
            "contrast": self.contrast.report(resamples=resamples, seed=seed),
            "teacher_forced": _teacher_forced(self.proxy),
            "seconds": round(self.seconds, 2),
            "answers_per_s": round(self.tally.count / self.seconds, 2) if self.seconds else None,
            "tokens_per_s": round(self.tokens / self.seconds, 1) if self.seconds else None,
        }


def measure(
    subject: Subject, contender: Contender, config: EvaluateEmosdsConfig, sink: PredictionWriter, bert_score: Score | None
) -> Measured:
    """The contender's answers to all examples. Ray must be initialised."""
    asked = {e.example_id: e for e in subject.examples}
    chosen = set(Random(config.seed).sample(sorted(asked), min(config.shown, len(asked))))
    found = Measured(AnswerTally(subject.emotions, bert_score=bert_score))
    began_s = time.monotonic()
    with progress(f"answers of {contender.name}", len(asked)) as advance:
        for rows, proxy in answers(subject, contender, config):
            predictions = found.take(contender.name, asked, rows)
            sink.write(predictions)
            found.shown |= {row["example_id"]: row for row in predictions if row["example_id"] in chosen}
            for name, value in proxy.items():
                found.proxy[name] = found.proxy.get(name, 0.0) + value
            advance(len(rows))
    found.seconds = time.monotonic() - began_s
    return found


def answer_pair(example: Example, row: Mapping[str, Any]) -> AnswerPair:
    """What was wanted of the stage, and what was given."""
    return AnswerPair(
        answer_id=example.example_id,
        speaker_id=example.speaker_id,
        **wanted(example, example.stage),
        **{name: row[name] for name in _GIVEN},
        malformed=row["malformed"],
    )


def wanted(example: Example, stage: Stage) -> dict[str, Any]:
    """The fields that a stage asks for; the others are None."""
    return {
        "text": example.text,
        "emotion": example.emotion if stage >= 2 else None,
        "reply_emotion": example.reply_emotion if stage == 3 else None,
        "reply_text": example.reply_text if stage == 3 else None,
    }


def _prediction(system: str, example: Example, row: Mapping[str, Any]) -> dict[str, Any]:
    asked = {name: getattr(example, name) for name in _ASKED}
    return {**asked, **wanted(example, example.stage), **row, "system": system}


def _teacher_forced(sums: Mapping[str, float]) -> dict[str, float] | None:
    """`token_accuracy`, `loss` in nats a token, and `perplexity`, given the right tokens before each; None when not measured."""
    if not sums.get("token_count"):
        return None
    loss = sums["loss_sum"] / sums["token_count"]
    return {
        "token_accuracy": sums["correct"] / sums["token_count"],
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "tokens": sums["token_count"],
    }


def _plain(value: Any) -> Any:
    """Maps as Arrow takes them."""
    return list(value.items()) if isinstance(value, dict) else value
