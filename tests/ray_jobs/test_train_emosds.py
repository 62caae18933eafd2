"""The training of the speech language model as a user runs it: three stages, killed and continued, on one worker and on two."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml

from rapport.core import storage
from rapport.core.config import ConfigError, dump_config
from rapport.core.errors import RapportError
from rapport.models.emosds.pretrained import from_pretrained
from rapport.ray_jobs.emosds_training.run_folder import stage_folder
from rapport.ray_jobs.emosds_training.sources import find_sources
from rapport.ray_jobs.train_emosds import run
from rapport.ray_jobs.training_runs import run_folder
from rapport.ray_jobs.tune_model import run as search
from rapport.ray_jobs.tuning.config import TuneModelConfig
from tests.ray_jobs.emosds_training.toy import build_toy, settings
from tests.ray_jobs.striking import kill_worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("storage"))


@pytest.fixture(scope="module")
def whole(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    """Three stages that nothing interrupted."""
    return run(settings(root, "whole"))


def history(stage: dict[str, Any]) -> list[dict[str, Any]]:
    lines = storage.read_bytes(storage.join(stage["folder"], "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "tokens_per_s")} for line in lines]


def weights(model: str) -> dict[str, np.ndarray]:
    files = sorted(Path(model).rglob("*.safetensors"))
    return {f"{path.name}/{name}": tensor for path in files for name, tensor in safetensors.numpy.load_file(path).items()}


def test_three_stages_leave_three_models_that_know_where_they_come_from(whole, root):
    folders = [root / "models/emosds" / f"whole-stage-{stage}" for stage in (1, 2, 3)]
    models = [from_pretrained(folder) for folder in folders]
    for stage, model in enumerate(models, 1):
        assert model.lineage.stage == stage
        assert model.lineage.codebook_hash == "0" * 64
        assert model.lineage.tokens_hash == model.manifest.hash
        assert model.lineage.predecessors == ("embedded", *map(str, folders[: stage - 1]))
    assert len({model.manifest.hash for model in models}) == 1
    assert whole["model"] == str(folders[2])
    assert models[2].settings.clusters == 9
    assert (folders[2] / "adapter" / "adapter_model.safetensors").exists()
    assert list(whole["stages"]) == ["1", "2", "3"]


def test_a_stage_leaves_curves_figures_and_its_settings(whole):
    for stage in whole["stages"].values():
        folder = Path(stage["folder"])
        assert [record["epoch"] for record in history(stage)] == [1, 2, 3]
        assert (folder / "config.yaml").exists()
        assert list((folder / "tensorboard").glob("events.*"))
        assert [path.name for path in (folder / "checkpoints").glob("step-*/*")].count("state.json") == 1
        assert stage["validation"]["loss"] == min(record["validation"]["loss"] for record in history(stage))
        assert json.loads((Path(stage["model"]) / "metrics.json").read_text())["validation"] == stage["validation"]
    first, second, third = whole["stages"].values()
    assert "injection" not in first["parts"]
    assert "injection" in second["parts"]
    assert "adapters" in third["parts"]
    assert first["trained_parameters"] < first["parameters"]


def test_frozen_layers_stay_as_they_were_and_the_scale_of_residuals_is_fitted_once(whole, root):
    first, second, third = (weights(str(root / "models/emosds" / f"whole-stage-{stage}")) for stage in (1, 2, 3))
    scale = "model.safetensors/mean"
    assert not first[scale].any()
    assert second[scale].any()
    assert np.array_equal(second[scale], third[scale])
    # Stage 3 trains adapters, whose base model lies below them as it was, and the embeddings.
    for name, tensor in second.items():
        if ".layers." in name:
            assert np.array_equal(third[name], tensor), name


def test_finished_stages_are_left_as_they_are_and_other_settings_refused(whole, root):
    before = (Path(whole["stages"]["2"]["folder"]) / "metrics.jsonl").stat().st_mtime_ns
    assert run(settings(root, "whole")) == json.loads(json.dumps(whole))
    assert (Path(whole["stages"]["2"]["folder"]) / "metrics.jsonl").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"training\.epochs: then 3, now 4"):
        run(settings(root, "whole", training={"epochs": 4}))


def test_a_stage_is_trained_anew_when_the_one_before_was(whole, root):
    models = root / "models" / "emosds"
    shutil.copytree(models / "whole-stage-1", models / "chain-stage-1")
    second = settings(root, "chain", stage="2")
    folder = stage_folder(str(root), "chain", 2)
    run_folder.begin(folder, second, asdict(find_sources(second, 2)))
    storage.write_json(storage.join(folder, run_folder.RESULT), {})
    run(settings(root, "chain", stage="1", training={"epochs": 1}, fresh=True))
    assert list(models.glob("chain-stage-1.before-*"))
    with pytest.raises(RapportError, match=r"stage 2 was begun from .* trained anew since"):
        run(second)


def test_a_worker_that_dies_is_replaced_and_the_result_is_the_same(root, ray_cluster):
    training = {"epochs": 8}
    whole = run(settings(root, "unstruck", stage="1", training=training))["stages"]["1"]
    killed: list[int] = []
    killer = threading.Thread(target=kill_worker, args=(root / "runs/train_emosds/struck/stage-1", killed), daemon=True)
    killer.start()
    struck = run(settings(root, "struck", stage="1", training=training))["stages"]["1"]
    killer.join()
    assert len(killed) == 1
    assert killed[0] < 8, "it was over before it was struck"
    assert history(struck) == history(whole)
    mine, theirs = (weights(stage["model"]) for stage in (struck, whole))
    for name, tensor in theirs.items():
        assert np.array_equal(mine[name], tensor), name


def test_killed_at_a_random_step_and_run_again_it_ends_as_if_never_killed(whole, root, tmp_path):
    config = settings(root, "killed", stage="1")
    path = tmp_path / "killed.yaml"
    path.write_text(dump_config(config))
    line = [sys.executable, "-m", "rapport.ray_jobs.train_emosds", "--config", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    checkpoints = root / "runs/train_emosds/killed/stage-1/checkpoints"
    wanted = random.choice([2, 4, 6])
    with open(tmp_path / "log", "w") as log:
        first = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log)
        while first.poll() is None and not any(int(found.name[5:]) >= wanted for found in checkpoints.glob("step-*")):
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait()
    second = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    result = json.loads(second.stdout.splitlines()[-1])["stages"]["1"]
    assert result["resumed"]
    assert history(result) == history(whole["stages"]["1"])
    mine, theirs = (weights(model) for model in (result["model"], whole["stages"]["1"]["model"]))
    assert mine.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert np.array_equal(mine[name], tensor), name


@pytest.mark.parametrize(("strategy", "number"), [("ddp", "1"), ("fsdp", "2"), ("deepspeed", "2")])
def test_two_workers_learn_what_one_learns_under_every_strategy(strategy, number, whole, root):
    workers = {"count": 2, "cpus": 1, "use_gpu": "no"}
    training = {"strategy": strategy, "gradient_checkpointing": strategy == "fsdp"}
    start = "whole-stage-1" if number == "2" else ""
    result = run(settings(root, f"two-{strategy}", stage=number, start_from=start, workers=workers, training=training))
    stage, alone = result["stages"][number], whole["stages"][number]
    for record, single in zip(history(stage), history(alone), strict=True):
        for side in ("train", "validation"):
            assert record[side]["loss"] == pytest.approx(single[side]["loss"], rel=1e-3)
            assert record[side]["tokens"] == single[side]["tokens"]
    mine, theirs = weights(stage["model"]), weights(alone["model"])
    assert mine.keys() == theirs.keys()
    assert all(np.abs(mine[name] - theirs[name]).max() < 0.02 for name in theirs)


def test_a_search_tries_settings_of_a_stage_and_writes_a_preset_that_trains(whole, root, tmp_path):
    base = settings(root, "searched", training={"epochs": 2, "save_every_steps": 0})
    (tmp_path / "base.yaml").write_text(dump_config(base))
    asked = {
        "space": "emosds",
        "storage": str(root),
        "base": str(tmp_path / "base.yaml"),
        "settings": ["stage=2", "start_from=whole-stage-1"],
        "fields": "stage_2.training.optim.lr",
        "samples": 2,
        "random_samples": 1,
        "grace": 2,
        "concurrent": 1,
    }
    found = search(TuneModelConfig.model_validate(asked))
    assert found["trials"] == {"finished": 2}
    assert found["epochs"] == 2
    preset = yaml.safe_load(Path(found["preset"]).read_text())
    assert preset["stage_2"]["training"]["optim"]["lr"] == found["params"]["stage_2.training.optim.lr"]
    assert not {"data", "units", "stage", "start_from", "storage", "name"} & preset.keys()
    losses = [record["validation"]["loss"] for record in history({"folder": f"{found['best_trial']}/runs/train_emosds/trial/stage-2"})]
    assert found["score"] == min(losses)
    assert run(settings(root, "found", **{**preset, "stage": "2", "start_from": "whole-stage-1"}))["validation"]["loss"] == found["score"]
