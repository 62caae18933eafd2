"""Evaluation and search as a user runs them, on tones that are learned in a second."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from PIL import Image, ImageSequence

from rapport.core.config import read_config
from rapport.core.errors import RapportError
from rapport.datasets.corpora import musan
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.ray_jobs.evaluate_ser import run as evaluate
from rapport.ray_jobs.ser_evaluation.config import EvaluateSerConfig
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.train_ser import run as train
from tests.toy_ser import EMOTIONS, prepare_toys, toy_settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with two prepared corpora of speech, the second with emotions that no model here knows, and one of noise."""
    from rapport.datasets.assemble import assemble
    from rapport.datasets.stages.decode import decode_chunk

    root = tmp_path_factory.mktemp("storage")
    prepare_toys(root)
    prepare_toys(root, range(1, 4), name="cremad", split={"method": "all_test"})
    musan.write_example(root / "raw-musan")
    plan = plan_corpus(PrepareConfig.model_validate({"corpus": {"name": "musan", "root": str(root / "raw-musan")}, "storage": str(root)}))
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)
    assemble(plan)
    return root


@pytest.fixture(scope="module")
def trained(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    return train(toy_settings(root, name="toy"))


@pytest.fixture(scope="module")
def evaluated(root: Path, trained: dict[str, Any]) -> dict[str, Any]:
    """An evaluation with nothing but a model named."""
    return evaluate(EvaluateSerConfig.model_validate({"storage": str(root), "model": "toy", "embeddings": {"maps": ["t-SNE"]}}))


def test_evaluation_finds_the_test_clips_of_the_training_and_its_figures(trained, evaluated):
    told = trained["tests"]["held_out"]
    assert evaluated["count"] == told["count"] == 12
    assert evaluated["corpora"] == ["ravdess"]
    for score in ("uar", "wa", "macro_f1"):
        assert evaluated[score] == pytest.approx(told[score])
    assert evaluated["trained_speakers"] == 0


def test_every_file_of_an_evaluation_is_there_and_linked(evaluated):
    folder = Path(evaluated["folder"])
    assert all((folder / name).is_file() for name in evaluated["files"].values())
    page = (folder / "index.html").read_text()
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert {"misclassified/index.html", "embeddings.html", "confusion.gif"} <= set(links)
    assert all((folder / link).is_file() for link in links)
    film = Image.open(folder / "confusion.gif")
    assert len(list(ImageSequence.Iterator(film))) == 3


def test_predictions_are_kept_clip_by_clip(evaluated):
    rows = pq.read_table(Path(evaluated["folder"]) / "predictions.parquet").to_pylist()
    assert len(rows) == 12
    for row in rows:
        assert row["utterance_id"].startswith("ravdess/")
        assert row["split"] == "test"
        assert sum(row["scores"].values()) == pytest.approx(1)
        assert row["prediction"] == max(row["scores"], key=row["scores"].__getitem__)
        assert row["snr_db"] is None
    assert evaluated["wa"] == pytest.approx(sum(row["prediction"] == row["target"] for row in rows) / 12)


def test_mistakes_can_be_listened_to_unpadded(evaluated):
    folder = Path(evaluated["folder"])
    rows = {row["utterance_id"]: row for row in pq.read_table(folder / "predictions.parquet").to_pylist()}
    wrong = {name: row for name, row in rows.items() if row["prediction"] != row["target"]}
    clips = list((folder / "misclassified" / "clips").glob("*.wav")) if wrong else []
    assert len(clips) == len(wrong)
    for clip in clips:
        name = clip.stem.replace("__", "/")
        assert soundfile.info(clip).duration == pytest.approx(wrong[name]["duration_s"], abs=1e-3)


def test_embeddings_are_kept_with_the_numbers_of_their_space(evaluated):
    folder = Path(evaluated["folder"])
    table = pq.read_table(folder / "embeddings.parquet")
    assert table.num_rows == 12
    assert table.schema.field("embedding").type.list_size == 16
    space = json.loads((folder / "metrics.json").read_text())["space"]
    assert len(space["mmd"]) == 3
    assert space["separability"]["corpora"] is None


def test_the_model_gets_a_card_of_its_training_and_its_figures(trained, evaluated):
    card = (Path(trained["model"]) / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["datasets"] == ["ravdess"]
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(evaluated["uar"], abs=1e-4)
    assert "24 training clips, 4 speakers" in card


def test_another_corpus_is_taken_whole_and_in_noise(root, trained):
    result = evaluate(
        EvaluateSerConfig.model_validate(
            {
                "storage": str(root),
                "model": trained["model"],
                "corpora": "cremad",
                "noise": "musan",
                "snr_db": [20, 0],
                "embeddings": {"maps": []},
                "write_card": False,
                "name": "elsewhere",
            }
        )
    )
    assert result["count"] == 18
    assert set(result["per_snr"]) == {"20", "0"}
    rows = pq.read_table(Path(result["folder"]) / "predictions.parquet").to_pylist()
    assert {row["snr_db"] for row in rows} == {None, 20.0, 0.0}
    scores = {snr: [row["scores"]["happy"] for row in rows if row["snr_db"] == snr] for snr in (None, 0.0)}
    assert scores[None] != scores[0.0]
    assert result["per_snr"]["20"] is not None
    assert "In noise" in Path(result["page"]).read_text()


def test_speakers_of_the_training_are_noticed(root, trained, capsys):
    config = {"storage": str(root), "model": "toy", "split": "all", "embeddings": {"maps": []}, "write_card": False}
    result = evaluate(EvaluateSerConfig.model_validate(config))
    assert result["trained_speakers"] == 4
    assert "flatters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"model": "absent"}, "does not exist"), ({"corpora": "emodb"}, "no prepared corpus"), ({"noise": "emodb"}, "no prepared corpus")],
)
def test_what_is_missing_is_told(root, trained, changes, complaint):
    with pytest.raises(RapportError, match=complaint):
        evaluate(EvaluateSerConfig.model_validate({"storage": str(root), "model": "toy", **changes}))


def tune(root: Path, base: Path, samples: int) -> subprocess.Popen[str]:
    """The search as a process of its own, with a Ray of its own."""
    command = [sys.executable, "-m", "rapport.ray_jobs.tune_model", "--storage", str(root), "--base", str(base), "--samples", str(samples)]
    command += ["--grace", "1", "--reduction", "2", "--random-samples", "2", "--concurrent", "1", "--preset-out", str(root / "best.yaml")]
    with open(root / "tune.log", "a") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)


def records(root: Path) -> dict[str, dict[str, Any]]:
    folder = root / "runs" / "tune_model" / "ser" / "trials"
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")} if folder.exists() else {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_search_goes_on_and_writes_a_preset_that_trains(root):
    base = toy_settings(root).model_dump(mode="json", include={"model", "training", "workers"})
    (root / "base.yaml").write_text(yaml.safe_dump(base))
    session = tune(root, root / "base.yaml", samples=3)
    while not any(record["state"] in ("finished", "stopped") for record in records(root).values()):
        assert session.poll() is None, (root / "tune.log").read_text()
        time.sleep(0.2)
    os.killpg(session.pid, signal.SIGKILL)
    session.wait()
    before = {key: record for key, record in records(root).items() if record["state"] != "running"}

    session = tune(root, root / "base.yaml", samples=3)
    out, _ = session.communicate()
    assert session.returncode == 0, (root / "tune.log").read_text()
    result = json.loads(out.splitlines()[-1])
    after = records(root)
    assert len(after) == 3
    assert {key: after[key] for key in before} == before
    assert sum(result["trials"].values()) == 3
    # Tones are learned so fast that scores tie: the trial that was begun first is the best.
    best = max(after.values(), key=lambda record: (record["history"][-1][1], -record["number"]))
    assert result["score"] == best["history"][-1][1]
    assert result["params"] == best["params"]
    assert len(best["params"]) >= 8

    folder = Path(result["folder"])
    assert not list(folder.rglob("*.pkl"))
    assert pq.read_table(folder / "trials.parquet").num_rows == 3
    assert "Best settings" in (folder / "index.html").read_text()
    preset = read_config(TrainSerConfig, root / "best.yaml")
    assert preset.model.emotions == EMOTIONS
    assert preset.training.optim.lr == best["params"]["training.optim.lr"]
    assert "storage" not in yaml.safe_load((root / "best.yaml").read_text())
