"""evaluate_coe as a user runs it, on random models of made conversations: every way to answer, and what is left behind."""

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import f1_score

from rapport.core import storage
from rapport.core.conversations import LABELS
from rapport.models.erc.mapping import INVALID
from rapport.ray_jobs.coe_evaluation import outputs
from rapport.ray_jobs.coe_evaluation.asking import line_name
from rapport.ray_jobs.evaluate_coe import run as evaluate
from tests.ray_jobs.coe_evaluation.toy import make_adapter, make_model, settings
from tests.ray_jobs.coe_training.toy import build_toy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAMES = ["a0", "a1", "b0", "b1", "majority", "tfidf", "no_clues"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    store = build_toy(folder)
    for name, seed in (("b1", 4), ("b0", 3), ("a1", 2), ("a0", 1)):
        make_model(folder, name, store, seed)
    make_adapter(folder, "adapted", store)
    return folder


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(Path(result["folder"]) / "predictions.parquet").to_pylist()
    return rows


@pytest.fixture(scope="module")
def evaluated(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    return evaluate(settings(root, groups="a0+a1,b0+b1", data="meld", name="all"))


def test_all_systems_answer_the_same_lines(evaluated) -> None:
    assert evaluated["systems"] == NAMES
    asked = {name: sorted(line_name(r["example_id"]) for r in rows_of(evaluated) if r["system"] == name) for name in NAMES}
    assert len(asked["a0"]) == evaluated["lines"] > 10
    assert all(lines == asked["a0"] for lines in asked.values())


def test_figures_are_those_of_the_predictions(evaluated) -> None:
    rows = [r for r in rows_of(evaluated) if r["system"] == "a0"]
    assert all(r["predicted"] == max(r["probabilities"], key=lambda pair: pair[1])[0] for r in rows)
    assert all(abs(sum(share for _, share in r["probabilities"]) - 1) < 1e-4 for r in rows)
    wanted = f1_score([r["gold"] for r in rows], [r["predicted"] for r in rows], average="weighted", labels=LABELS["meld"], zero_division=0)
    metrics = json.loads((Path(evaluated["folder"]) / "metrics.json").read_text())
    figure = metrics["systems"]["a0"]["figures"]["weighted_f1"]
    assert figure["value"] == pytest.approx(wanted) == evaluated["figures"]["a0"]["weighted_f1"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert metrics["differences"].keys() == set(NAMES) - {"a0"}
    assert metrics["differences"]["majority"]["mcnemar"]["p_value"] <= 1
    assert metrics["validation"]["count"] > 5
    assert metrics["groups"]["a0+a1"]["over_runs"]["weighted_f1"]["deviation"] >= 0
    assert metrics["group_differences"].keys() == {"b0+b1"}


def test_further_tasks_are_measured_of_the_models(root: Path, ray_cluster) -> None:
    options = {"models": "b1", "baselines": ["majority"], "write_card": False, "side": "validation", "data": "meld"}
    result = evaluate(settings(root, tasks=["speaker", "role_play"], name="further", **options))
    systems = json.loads((Path(result["folder"]) / "metrics.json").read_text())["systems"]
    told = systems["b1"]["tasks"]
    assert 0 <= told["speaker"]["figures"]["exact"]["value"] <= 1
    assert 0 < told["speaker"]["chance"] <= 0.5
    # A random model is about as lost among its tokens as one may be.
    assert told["role_play"]["figures"]["perplexity"]["value"] > 50
    assert told["role_play"]["figures"]["bleu"]["value"] >= 0
    assert systems["majority"]["tasks"] == {}
    assert "What else it can do" in Path(result["page"]).read_text()


def test_the_page_and_the_card_tell_every_system(evaluated) -> None:
    page, card = Path(evaluated["page"]).read_text(), Path(evaluated["card"]).read_text()
    for name in NAMES:
        assert name in page
        assert f"| {name} (" in card
    for text in ("Several seeds", "Side by side", "McNemar", "Lines to read", "Validation less test", "are made"):
        assert text in page
    front = yaml.safe_load(card.split("---")[1])
    assert front["datasets"] == ["meld"]
    assert front["model-index"][0]["results"][0]["dataset"]["split"] == "test"
    assert "measured on a test side once" in card
    assert not storage.exists(storage.join(evaluated["folder"], "parts"))


def test_the_example_on_the_card_runs(evaluated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = Path(evaluated["card"]).read_text().split("```python\n")[1].split("```")[0]
    script = tmp_path / "example.py"
    script.write_text(code.replace('"a0"', repr(str(Path(evaluated["card"]).parent))))
    runpy.run_path(str(script))
    assert capsys.readouterr().out.strip() in LABELS["meld"]


def test_a_second_look_at_test_is_counted_and_told(root: Path, ray_cluster, evaluated) -> None:
    options = {"models": "b0", "baselines": [], "write_card": False, "gap": False, "max_examples": 8}
    result = evaluate(settings(root, data="meld", **options))
    assert result["times_on_test"] == {"b0": 2}
    assert "is soon chosen by" in Path(result["page"]).read_text()
    result = evaluate(settings(root, data="meld", side="validation", **options))
    assert result["times_on_test"] == {"b0": 2}


def test_an_evaluation_that_was_stopped_asks_only_for_what_is_missing(
    root: Path, ray_cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(root, models="b1", baselines=[], write_card=False, side="validation", data="meld", name="stopped")

    def stop(*arguments: object) -> list[str]:
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_records", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            evaluate(config)
    capsys.readouterr()
    result = evaluate(config)
    assert f"asked {result['lines']} of {result['lines']} before" in capsys.readouterr().err
    assert not storage.exists(storage.join(result["folder"], "parts"))


def test_what_a_model_writes_is_mapped_and_what_is_no_label_is_wrong(root: Path, ray_cluster) -> None:
    options = {"models": "a1", "baselines": [], "write_card": False, "side": "validation", "data": "meld"}
    wrote = evaluate(settings(root, method="generate", **options))
    rows = rows_of(wrote)
    assert {r["predicted"] for r in rows} <= {*LABELS["meld"], INVALID}
    assert wrote["figures"]["a1"]["invalid"] == sum(r["predicted"] == INVALID for r in rows) / len(rows) > 0.5
    assert all(r["text"] is not None and r["rationale"] is None and r["probabilities"] is None for r in rows)
    assert "no label" in Path(wrote["page"]).read_text()
    published = evaluate(settings(root, method="generate", mapping="compat", name="published", **options))
    assert published["figures"]["a1"]["invalid"] == 0
    assert {r["how"] for r in rows_of(published)} <= {"found", "guessed"}
    assert [r["text"] for r in rows_of(published)] == [r["text"] for r in rows]


def test_reasons_are_kept_beside_the_label(root: Path, ray_cluster) -> None:
    options = {"models": "a1", "baselines": [], "write_card": False, "side": "validation", "data": "meld", "max_examples": 10}
    rows = rows_of(evaluate(settings(root, method="reason", **options)))
    assert all(r["example_id"].endswith("/steer") and r["rationale"] is not None for r in rows)


def test_adapters_are_compared_with_their_base(root: Path, ray_cluster) -> None:
    result = evaluate(settings(root, models="adapted", baselines=["untrained"], side="validation", data="meld", max_examples=10))
    rows = rows_of(result)
    shares = {name: [r["probabilities"] for r in rows if r["system"] == name] for name in ("adapted", "untrained")}
    assert shares["adapted"] != shares["untrained"]


def test_an_encoder_is_a_baseline_on_its_frozen_states(root: Path, ray_cluster) -> None:
    base = root / "bases" / "adapted"
    options = {"models": "a1", "baselines": [], "write_card": False, "side": "validation", "data": "meld"}
    result = evaluate(settings(root, encoder=str(base), **options))
    assert result["systems"] == ["a1", "encoder"]
    assert 0 < result["figures"]["encoder"]["accuracy"] <= 1


def test_a_copied_model_predicts_the_same(root: Path, ray_cluster, evaluated, tmp_path: Path) -> None:
    """Acceptance test (k) of the specification, as an evaluation sees it."""
    shutil.copytree(root / "models" / "coe" / "a0", tmp_path / "copy")
    result = evaluate(settings(root, models=str(tmp_path / "copy"), baselines=[], data="meld", write_card=False, gap=False))
    before = {r["example_id"]: r["probabilities"] for r in rows_of(evaluated) if r["system"] == "a0"}
    assert {r["example_id"]: r["probabilities"] for r in rows_of(result)} == before
