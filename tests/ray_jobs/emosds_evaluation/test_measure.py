from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rapport.core.examples import Example
from rapport.ray_jobs.emosds_evaluation.measure import Measured, PredictionWriter
from rapport.training.text_metrics import AnswerTally
from tests.toy_emosds import EMOTIONS


def example(variant: int, speaker: str = "s") -> Example:
    emotion, reply = (("sad", "neutral"), ("happy", "happy"))[variant]
    return Example(
        f"3/0_{variant}/{speaker}",
        3,
        "test",
        f"esd/{speaker}{variant}",
        "esd",
        "the old tree",
        emotion,
        speaker_id=speaker,
        reply_text="a bird",
        reply_emotion=reply,
        dialogue_id=f"0_{variant}",
        variant=variant,
    )


def row(example: Example, emotion: str | None, reply_emotion: str | None) -> dict:
    return {
        "example_id": example.example_id,
        "output": "...",
        "finished": True,
        "tokens": 7,
        "given_text": "the old tree",
        "given_emotion": emotion,
        "given_reply_emotion": reply_emotion,
        "given_reply_text": "a bird",
        "malformed": None if emotion else "no tag before the transcript",
        "emotion_scores": {"sad": 0.75, "happy": 0.25},
        "reply_emotion_scores": None,
        "recognised": None,
    }


@pytest.fixture
def measured() -> tuple[Measured, list[dict]]:
    asked = {e.example_id: e for e in (example(0), example(1), example(0, "t"), example(1, "t"))}
    given = [("sad", "neutral"), ("happy", "happy"), ("sad", "neutral"), (None, None)]
    found = Measured(AnswerTally(EMOTIONS), proxy={"loss_sum": 20.0, "token_count": 10, "correct": 8})
    rows = [row(e, *answer) for e, answer in zip(asked.values(), given, strict=True)]
    predictions = found.take("full", asked, rows[:2]) + found.take("full", asked, rows[2:])
    return found, predictions


def test_answers_become_figures(measured):
    report = measured[0].report(resamples=100, seed=0)
    assert report["count"] == 4
    assert report["figures"]["wer"]["value"] == 0
    assert report["figures"]["malformed"]["value"] == 0.25
    assert report["contrast"]["pairs"] == 2
    assert report["contrast"]["reply_follows_emotion"]["value"] == 0.5
    assert report["teacher_forced"]["token_accuracy"] == 0.8
    assert report["teacher_forced"]["loss"] == 2.0


def test_predictions_appear_when_all_are_written(tmp_path: Path, measured):
    path = tmp_path / "runs" / "predictions.parquet"
    with PredictionWriter(str(path)) as sink:
        sink.write(measured[1])
        assert not path.exists()
    rows = pq.read_table(path).to_pylist()
    assert [r["given_emotion"] for r in rows] == ["sad", "happy", "sad", None]
    assert {r["system"] for r in rows} == {"full"}
    assert dict(rows[0]["emotion_scores"]) == {"sad": 0.75, "happy": 0.25}
    assert rows[0]["reply_text"] == "a bird"


def test_nothing_is_left_of_predictions_that_failed(tmp_path: Path, measured):
    def fail() -> None:
        with PredictionWriter(str(tmp_path / "predictions.parquet")) as sink:
            sink.write(measured[1])
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert list(tmp_path.iterdir()) == []
