"""The evaluation of speech language models as a user runs it, on random models: every way to answer, side by side."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rapport.ray_jobs.build_emosds import run as build
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.emosds_evaluation.config import EvaluateEmosdsConfig
from rapport.ray_jobs.evaluate_emosds import run as evaluate
from tests.toy_emosds import write_model, write_toy, write_units

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SYSTEMS = ["full", "units", "text", "pocketsphinx+text"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    dialogues = write_toy(folder, sentences=30)
    write_units(folder)
    build(BuildEmosdsConfig(storage=str(folder), dialogues=str(dialogues)))
    for name, inputs in (("text", "text"), ("units", "units"), ("full", "units+residuals")):
        write_model(folder / "models" / "emosds" / name, inputs=inputs)
    return folder


@pytest.fixture(scope="module")
def evaluated(root: Path, ray_cluster: dict[str, float]) -> dict:
    return evaluate(
        EvaluateEmosdsConfig.model_validate(
            {
                "storage": str(root),
                "models": "full,units,text",
                "cascade": {"transcriber": "pocketsphinx"},
                "generation": {"max_new_tokens": 24, "constrained": True},
                "max_examples": 6,
                "batch_size": 2,
                "actors": 1,
                "resamples": 100,
                "name": "all",
            }
        )
    )


def test_all_systems_answer_the_same_examples(evaluated):
    assert list(evaluated["systems"]) == SYSTEMS
    rows = pq.read_table(Path(evaluated["folder"]) / "predictions.parquet").to_pylist()
    asked = {name: sorted(row["example_id"] for row in rows if row["system"] == name) for name in SYSTEMS}
    assert len(asked["full"]) == evaluated["examples"] > 2
    assert all(ids == asked["full"] for ids in asked.values())
    assert all((row["recognised"] is not None) == (row["system"] == "pocketsphinx+text") for row in rows)
    assert {row["given_emotion"] is None for row in rows} == {False}


def test_figures_are_written_with_intervals_and_the_proxy_under_its_name(evaluated):
    metrics = json.loads((Path(evaluated["folder"]) / "metrics.json").read_text())
    assert list(metrics["systems"]) == sorted(SYSTEMS)
    full = metrics["systems"]["full"]
    assert full["figures"]["wer"]["low"] <= full["figures"]["wer"]["value"] <= full["figures"]["wer"]["high"]
    assert full["figures"]["malformed"]["value"] == 0
    assert 0 <= full["teacher_forced"]["token_accuracy"] <= 1
    assert metrics["systems"]["pocketsphinx+text"]["teacher_forced"] is None
    assert set(metrics["differences"]) == set(SYSTEMS[1:])
    assert full["contrast"]["pairs"] == evaluated["examples"] / 2
    assert evaluated["systems"]["full"]["teacher_forced_token_accuracy"] == full["teacher_forced"]["token_accuracy"]


def test_who_reads_words_answers_identical_words_alike(evaluated):
    metrics = json.loads((Path(evaluated["folder"]) / "metrics.json").read_text())
    assert metrics["systems"]["text"]["contrast"]["heard"]["value"] == 0
    assert metrics["systems"]["text"]["contrast"]["followed"]["value"] == 0


def test_the_page_holds_every_system_and_answers_to_read(evaluated):
    page = Path(evaluated["page"]).read_text()
    for name in (*SYSTEMS, "text oracle", "cascade", "Same words, another voice", "Answers to read", "Teacher-forced"):
        assert name in page
    assert "We&#39;ve seen the boat" in page


def test_the_first_stage_is_evaluated_without_emotions(root, ray_cluster):
    config = {"storage": str(root), "models": "full", "stage": "1", "generation": {"max_new_tokens": 16}, "actors": 1, "resamples": 100}
    result = evaluate(EvaluateEmosdsConfig.model_validate(config))
    assert result["stage"] == 1
    assert set(result["systems"]["full"]) >= {"wer", "malformed"}
    assert "emotion_macro_f1" not in result["systems"]["full"]
    assert result["name"] == "full-default-stage1-test"
    shutil.rmtree(result["folder"])
