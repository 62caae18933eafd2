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
SYSTEMS = ["full", "units", "residuals", "text", "pocketsphinx+text"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    dialogues = write_toy(folder, sentences=30)
    write_units(folder)
    build(BuildEmosdsConfig(storage=str(folder), dialogues=str(dialogues)))
    for name, inputs in (("text", "text"), ("residuals", "residuals"), ("units", "units"), ("full", "units+residuals")):
        write_model(folder / "models" / "emosds" / name, inputs=inputs)
    return folder


@pytest.fixture(scope="module")
def evaluated(root: Path, ray_cluster: dict[str, float]) -> dict:
    return evaluate(
        EvaluateEmosdsConfig.model_validate(
            {
                "storage": str(root),
                "models": "full,units,residuals,text",
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
    for difference in metrics["differences"].values():
        gain = difference["emotion_macro_f1"]
        assert gain["low"] <= gain["value"] <= gain["high"]
        assert "reply_follows_emotion" in difference
    assert full["contrast"]["pairs"] == evaluated["examples"] / 2
    assert evaluated["systems"]["full"]["reply_follows_emotion"] == full["contrast"]["reply_follows_emotion"]["value"]
    assert evaluated["systems"]["full"]["teacher_forced_token_accuracy"] == full["teacher_forced"]["token_accuracy"]


def test_who_reads_words_answers_identical_words_alike(evaluated):
    metrics = json.loads((Path(evaluated["folder"]) / "metrics.json").read_text())
    assert metrics["systems"]["text"]["contrast"]["heard"]["value"] == 0
    assert metrics["systems"]["text"]["contrast"]["reply_follows_emotion"]["value"] == 0


def test_the_page_holds_every_system_and_answers_to_read(evaluated):
    page = Path(evaluated["page"]).read_text()
    for name in (*SYSTEMS, "text oracle", "cascade", "Same words, another voice", "Answers to read", "Teacher-forced"):
        assert name in page
    assert "We&#39;ve seen the boat" in page


def test_the_first_model_gets_a_card_with_all_systems(evaluated):
    assert evaluated["card"].endswith("models/emosds/full/README.md")
    card = Path(evaluated["card"]).read_text()
    assert all(f"{name} (" in card for name in SYSTEMS[1:])


@pytest.mark.parametrize("stage", [1, "2"])
def test_earlier_stages_are_evaluated_by_what_they_ask_for(root, ray_cluster, stage):
    config = {
        "storage": str(root),
        "models": "full",
        "stage": stage,
        "generation": {"max_new_tokens": 16},
        "max_examples": 8,
        "actors": 1,
        "resamples": 100,
        "write_card": False,
    }
    result = evaluate(EvaluateEmosdsConfig.model_validate(config))
    assert result["stage"] == int(stage)
    assert result["name"] == f"full-default-stage{stage}-test"
    found = result["systems"]["full"]
    assert set(found) >= {"wer", "malformed"}
    assert ("emotion_macro_f1" in found) == (stage == "2")
    assert not {"bleu", "reply_emotion_macro_f1", "reply_follows_emotion"} & set(found)
    shutil.rmtree(result["folder"])
