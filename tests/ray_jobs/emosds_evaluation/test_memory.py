"""Evaluation keeps nothing of an answer but its text: with a vocabulary of thousands, logits would be the first to be noticed."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from rapport.core.examples import Example
from rapport.ray_jobs.emosds_evaluation.answering import Answerer
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.subject import Subject, choose_subject
from tests.toy_emosds import write_model

VOCABULARY = 30_000
BATCH, TOKENS = 4, 8
_STATUS, _PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mib() -> float:
    """The most memory that this process has held since the peak was forgotten."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    gc.collect()
    try:
        _PEAK.write_text("5")
    except OSError:
        pytest.skip("this system does not forget its peak of memory")


@pytest.fixture(scope="module")
def subject(toy_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    model = write_model(tmp_path_factory.mktemp("models") / "wide", tokens=VOCABULARY)
    return choose_subject(EvaluateEmosdsConfig.model_validate({"storage": str(toy_root), "models": str(model), "stage": "3"}))


def some(subject: Subject, count: int) -> list[Example]:
    """So many examples, with names of their own."""
    return [replace(subject.examples[i % 8], example_id=f"{i:06d}") for i in range(count)]


@pytest.mark.skipif(not _PEAK.exists(), reason="wants Linux")
def test_the_peak_of_answering_does_not_grow_with_the_number_of_rows(subject: Subject, toy_root: Path):
    config = EvaluateEmosdsConfig.model_validate({"storage": str(toy_root), "generation": {"max_new_tokens": TOKENS}})
    answerer = Answerer(subject.contenders[0], config, subject.corpora, "cpu")

    def peak_over(rows: int) -> float:
        examples = some(subject, rows)
        forget_peak()
        for first in range(0, rows, BATCH):
            answers, proxy = answerer.answer(examples[first : first + BATCH])
            assert len(answers) == BATCH
            assert proxy["token_count"] > 0
        return peak_mib()

    peak_over(2 * BATCH)  # allocators and libraries settle
    few, many = peak_over(2 * BATCH), peak_over(24 * BATCH)
    # Logits alone, of the answers that are written and of those that are given, one number of 4 bytes a word of the vocabulary:
    kept_mib = 22 * BATCH * (TOKENS + 20) * VOCABULARY * 4 / 2**20
    assert kept_mib > 250
    assert many - few < kept_mib / 5
