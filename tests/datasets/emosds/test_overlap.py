from collections.abc import Sequence
from pathlib import Path

import pytest

from rapport.core import storage
from rapport.core.examples import Example
from rapport.datasets.emosds.examples import KIND, LEAKS, write_examples
from rapport.datasets.emosds.overlap import overlap_warnings


def said(speaker: str, text: str, split: str, stage: int = 2) -> Example:
    name = f"toy/{speaker}_{text}"
    return Example(f"{stage}/{name}", stage=stage, split=split, utterance_id=name, corpus="toy", text=text, speaker_id=speaker)  # type: ignore[arg-type]


def build(folder: Path, examples: Sequence[Example], fixed: Sequence[str] = ()) -> str:
    counts = write_examples(str(folder), examples)
    storage.write_json(folder / LEAKS, {"fixed_sentences": fixed})
    storage.finish(folder, {"kind": KIND, "counts": counts})
    return str(folder)


@pytest.fixture
def first(tmp_path: Path) -> str:
    return build(tmp_path / "toy" / "0a1b", [said("ann", "yes", "train"), said("bob", "no", "train"), said("cy", "why", "test")])


def test_what_was_trained_on_in_another_build_is_told_with_both_builds(first: str, tmp_path: Path) -> None:
    asked = [said("bob", "No!", "test"), said("dan", "why", "test"), said("bob", "no", "test")]
    second = build(tmp_path / "toy" / "2c3d", asked)
    (warning,) = overlap_warnings("full", {first: 2, second: 3}, second, asked)
    assert warning == f"full was trained on 1 speakers, 1 sentences, 1 recordings of these in {first}, another build than {second}: " + (
        "this flatters every figure"
    )


def test_a_build_that_shares_nothing_is_not_told(first: str, tmp_path: Path) -> None:
    asked = [said("dan", "why", "test")]
    assert overlap_warnings("full", {first: 3}, build(tmp_path / "toy" / "2c3d", asked), asked) == []


def test_what_a_model_has_not_been_trained_for_it_has_not_heard(first: str, tmp_path: Path) -> None:
    asked = [said("ann", "yes", "test")]
    assert overlap_warnings("full", {first: 1}, build(tmp_path / "toy" / "2c3d", asked), asked) == []


def test_sentences_that_everybody_says_are_not_told_but_speakers_are(first: str, tmp_path: Path) -> None:
    asked = [said("dan", "yes", "test"), said("ann", "perhaps", "test")]
    second = build(tmp_path / "toy" / "2c3d", asked, fixed=["toy"])
    (warning,) = overlap_warnings("full", {first: 2}, second, asked)
    assert "trained on 1 speakers of these" in warning


def test_the_same_build_elsewhere_is_the_same(first: str, tmp_path: Path) -> None:
    asked = [said("ann", "yes", "test")]
    assert overlap_warnings("full", {"s3://bucket/features/emosds/toy/0a1b": 2}, first, asked) == []


@pytest.mark.parametrize("folder", ["/gone/toy/4e5f", "nowhere://bucket/toy/4e5f"])
def test_a_build_that_cannot_be_read_is_told(first: str, folder: str) -> None:
    (warning,) = overlap_warnings("full", {folder: 2}, first, [])
    assert warning.startswith(f"full was trained on {folder}, which cannot be read here: whether it shares")
    assert first in warning
