"""The training of the language model of emotions in conversations as a user runs it: strategies, shared stages, killed and continued."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.datasets.conversations.examples import open_examples, read_records
from rapport.models.erc.engine import open_engine
from rapport.models.erc.model_config import EngineConfig, ScoringConfig
from rapport.models.erc.scoring import Choice
from rapport.ray_jobs.train_coe import run
from tests.ray_jobs.coe_training.toy import TRAINING, build_toy, settings
from tests.ray_jobs.striking import kill_worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEER = {
    "rounds": 1,
    "first_rollout": 0,
    "training": {**TRAINING, "epochs": 1, "selection": "last"},
    "generation": {"max_new_tokens": 6},
    "validation_examples": 2,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples without their test side: nothing in a training may look at it."""
    root = tmp_path_factory.mktemp("storage")
    store = build_toy(root)
    for task in ("steer", "erc"):
        storage.remove(store.path(task, "test"))
    return root


@pytest.fixture(scope="module")
def whole(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    """A base, a stage in a role and the last stage that nothing interrupted."""
    return run(settings(root, "whole", custom={"role_play": True}))


def history(stage: dict[str, Any]) -> list[dict[str, Any]]:
    lines = storage.read_bytes(storage.join(stage["folder"], "metrics.jsonl")).splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "tokens_per_s")} for line in lines]


def weights(model: str) -> dict[str, np.ndarray]:
    files = sorted(Path(model).rglob("*.safetensors"))
    return {f"{path.name}/{name}": tensor for path in files for name, tensor in safetensors.numpy.load_file(path).items()}


def answers(root: Path, model: str, adapter: str | None = None) -> dict[str, tuple[float, ...]]:
    """Log-likelihood of every label, by example."""
    (folder,) = (root / "features/coe/meld").iterdir()
    engine = open_engine(model, EngineConfig(device="cpu"))
    if adapter:
        engine.load_adapter(adapter)
    choices = [Choice(e.example_id, e.input, e.labels) for e in open_examples(str(folder)).read("erc", "validation")]
    return {found.example_id: found.log_likelihoods for found in engine.score(choices, ScoringConfig())}


def test_one_adapter_goes_through_all_stages_on_a_base_that_stays(whole):
    base, role_play, erc = whole["stages"].values()
    assert list(whole["stages"]) == ["base", "role_play", "erc"]
    assert set(base["parts"]) == {"embeddings", "layers"}
    assert set(role_play["parts"]) == set(erc["parts"]) == {"adapters"}
    for stage in (role_play, erc):
        saved = storage.read_json(storage.join(stage["model"], "config.json"))
        assert saved["reference"]["source"] == storage.join(base["model"], "base")
    assert storage.read_json(storage.join(erc["model"], "config.json"))["facts"]["after"]["model"] == role_play["model"]
    first, last = (weights(stage["model"]) for stage in (role_play, erc))
    assert first.keys() == last.keys()
    assert any(not np.array_equal(tensor, last[name]) for name, tensor in first.items())


def test_each_stage_leaves_curves_and_figures_of_its_tasks(whole):
    for name, stage in whole["stages"].items():
        assert [record["epoch"] for record in history(stage)] == [1, 2]
        figures = stage["validation"]
        assert figures["loss"] == min(record["validation"]["loss"] for record in history(stage))
        assert {"perplexity", "teacher_forced_token_accuracy"} <= figures.keys()
        assert set(figures["per_task"]) == ({"role_play", "speaker", "steer", "erc"} if name == "base" else {name})
    assert whole["validation"] == whole["stages"]["erc"]["validation"]


def test_the_saved_model_answers_as_it_did_wherever_it_is_loaded(whole, root, tmp_path):
    """Acceptance test (k)."""
    base, erc = (whole["stages"][name]["model"] for name in ("base", "erc"))
    expected = answers(root, erc)
    assert answers(root, whole["model"]) == expected
    assert answers(root, base, adapter=whole["model"]) == expected
    assert answers(root, base) != expected
    # It needs nothing of the run that it came from.
    moved = shutil.copytree(whole["model"], tmp_path / "elsewhere")
    assert str(root) not in json.dumps(storage.read_json(moved / "config.json")["reference"])
    assert answers(root, str(moved)) == expected


def test_a_finished_run_is_left_as_it_is_and_other_settings_are_refused(whole, root):
    beside = Path(whole["model"]) / "metrics.json"
    before = beside.stat().st_mtime_ns
    assert run(settings(root, "whole", custom={"role_play": True})) == json.loads(json.dumps(whole))
    assert beside.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"erc\.training\.epochs: then 2, now 3"):
        run(settings(root, "whole", custom={"role_play": True}, erc={"training": {**TRAINING, "epochs": 3}, "examples": 12}))


def test_all_tasks_are_learned_together_with_what_self_training_harvested(whole, root):
    mixed = run(settings(root, "mixed", strategy="mixed", steer=STEER))
    assert list(mixed["stages"]) == ["base", "steer", "joint", "erc"]
    # The base stage was trained for another run.
    assert mixed["stages"]["base"] == json.loads(json.dumps(whole["stages"]["base"]))
    assert mixed["stages"]["erc"]["folder"] != whole["stages"]["erc"]["folder"]
    joint = mixed["stages"]["joint"]
    assert set(joint["sides"]["train"]["tasks"]) == {"role_play", "speaker", "steer"}
    assert {"role_play", "speaker"} <= set(joint["validation"]["per_task"])
    assert all(name in joint["validation"]["per_task"]["role_play"] for name in ("loss", "perplexity"))
    harvested = {e.example_id for e in read_records(mixed["stages"]["steer"]["memory"])}
    learned = [e.example_id for e in read_records(storage.join(joint["folder"], "train.jsonl")) if e.task == "steer"]
    assert learned
    assert set(learned) <= harvested


def test_killed_and_run_again_it_ends_as_if_never_killed(whole, root):
    last = {"training": {**TRAINING, "epochs": 30}, "examples": 24}
    unstruck = run(settings(root, "unstruck", erc=last))
    stage = Path(unstruck["stages"]["erc"]["folder"])
    kept = stage.rename(stage.with_name("kept"))
    killed: list[int] = []
    killer = threading.Thread(target=kill_worker, args=(stage, killed), daemon=True)
    killer.start()
    with pytest.raises(Exception, match=r"[Ww]orker"):
        run(settings(root, "struck", erc=last, workers={"cpus": 1, "use_gpu": "no", "max_failures": 0}))
    killer.join()
    assert killed
    assert killed[0] < 30, "it was over before it was struck"
    struck = run(settings(root, "struck", erc=last))["stages"]["erc"]
    assert struck["resumed"]
    assert history(struck) == history({"folder": str(kept)})
    mine, theirs = weights(struck["model"]), weights(str(kept / "model"))
    assert mine.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert np.array_equal(mine[name], tensor), name


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "deepspeed"])
def test_two_workers_learn_what_one_learns_under_every_strategy(strategy, whole, root, tmp_path):
    training = {**TRAINING, "strategy": strategy}
    workers = {"count": 2, "cpus": 1, "use_gpu": "no"}
    # A stage of the same key would be taken over: this one is kept elsewhere, and starts from the same model.
    start = whole["stages"]["role_play"]["model"]
    kept = {"stages": str(tmp_path / "stages"), "start_from": start, "workers": workers}
    two = run(settings(root, f"two-{strategy}", erc={"training": training, "examples": 12}, **kept))["stages"]["erc"]
    one = whole["stages"]["erc"]
    for record, single in zip(history(two), history(one), strict=True):
        for side in ("train", "validation"):
            assert record[side]["loss"] == pytest.approx(single[side]["loss"], rel=1e-3)
            assert record[side]["tokens"] == single[side]["tokens"]
    mine, theirs = weights(two["model"]), weights(one["model"])
    assert mine.keys() == theirs.keys()
    assert all(np.abs(mine[name] - theirs[name]).max() < 0.02 for name in theirs)


def test_begun_anew_a_run_moves_its_stages_and_its_model_aside(whole, root, tmp_path):
    for part in ("runs", "models"):
        shutil.copytree(root / part, tmp_path / part)
    shutil.copytree(root / "features", tmp_path / "features")
    again = run(settings(tmp_path, "whole", custom={"role_play": True}, fresh=True))
    assert len(list((tmp_path / "runs/train_coe/stages").glob("*.before-*"))) == 3
    assert list((tmp_path / "models/coe").glob("whole.before-*"))
    assert again["validation"]["loss"] == pytest.approx(whole["validation"]["loss"], rel=1e-6)
