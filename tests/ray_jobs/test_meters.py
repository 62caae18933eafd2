from typing import Any

import pytest

from rapport.ray_jobs import meters

Told = list[tuple[str, float, dict[str, str]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is said, by name of the metric."""
    said: Told = []

    class Metric:
        def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
            self.name = name

        def set(self, value: float, tags: dict[str, str]) -> None:
            said.append((self.name, value, tags))

        inc = set

    monkeypatch.setattr(meters, "Counter", Metric)
    monkeypatch.setattr(meters, "Gauge", Metric)
    return said


def test_a_chunk_is_counted_by_corpus_and_nothing_is_not(told: Told) -> None:
    done: dict[str, Any] = {"files": 4, "bad": 0, "speech_s": 2.5}
    meters.PreparationMeter("esd").chunk(done)
    assert told == [("rapport_files", 4, {"corpus": "esd"}), ("rapport_speech_s", 2.5, {"corpus": "esd"})]


def test_the_pace_of_steps_is_told_once_a_second(told: Told) -> None:
    meter = meters.TrainingMeter("first", gpu_bytes=lambda: 7)
    for step, now_s in ((1, 10.0), (2, 10.4), (3, 10.8), (5, 12.0)):
        meter.step(step, now_s)
    run = {"run": "first"}
    assert told == [
        ("rapport_step", 1, run),
        ("rapport_gpu_bytes", 7, run),
        ("rapport_step", 5, run),
        ("rapport_step_s", 0.5, run),
        ("rapport_gpu_bytes", 7, run),
    ]


def test_tokens_are_told_of_trainings_that_count_them(told: Told) -> None:
    meter = meters.TrainingMeter("first")
    meter.epoch({"loss": 1.0})
    meter.epoch({"tokens_per_s": 300.0})
    assert told == [("rapport_tokens_per_s", 300.0, {"run": "first"})]
