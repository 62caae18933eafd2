"""Every strategy learns the same, and goes on from the checkpoint of any other: two processes on this computer, joined by Gloo."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rapport.training.checkpoint import load_checkpoint
from rapport.training.sft import LanguageProgress, train_language_model
from tests.training.toy_language import Speller, toy_config, toy_data
from tests.training.two_workers import COMMON, KINDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
HANDOVERS = [f"{before}-to-{after}" for before, after in zip(KINDS, [*list(KINDS)[1:], next(iter(KINDS))], strict=True)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """What two workers wrote: a history and sums of weights for each strategy and handover, and a checkpoint of each strategy."""
    folder = tmp_path_factory.mktemp("strategies")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.two_workers", str(rank), str(folder), port],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "LOCAL_RANK": str(rank)},
            stdout=(log := open(folder / f"log-{rank}", "w")),  # noqa: SIM115
            stderr=log,
        )
        for rank in range(2)
    ]
    try:
        codes = [worker.wait(timeout=800) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0, 0], (folder / "log-0").read_text()[-3000:] + (folder / "log-1").read_text()[-3000:]
    return folder


@pytest.fixture(scope="module")
def alone() -> list[dict]:
    """The history of a single worker."""
    model = Speller()
    model.base.model.layers[1].requires_grad_(False)
    return train_language_model(model, toy_data(64, 6), toy_config(**COMMON), seed=1).history


def told(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [*KINDS, *HANDOVERS])
def test_two_workers_learn_what_one_learns_whatever_they_share(trained, alone, name):
    found, reference = told(trained, name), told(trained, "ddp")
    for record, single in zip(found["history"], alone, strict=True):
        for side in ("train", "validation"):
            assert record[side]["loss"] == pytest.approx(single[side]["loss"], rel=1e-4)
            assert record[side]["tokens"] == single[side]["tokens"]
        assert record["step"] == single["step"]
        assert record["learning_rate"] == single["learning_rate"]
    assert found["weights"].keys() == reference["weights"].keys()
    for key, sums in reference["weights"].items():
        assert found["weights"][key] == pytest.approx(sums, rel=1e-4, abs=1e-4), key


def test_checkpoints_of_all_strategies_hold_the_same_whole_tensors(trained):
    reference = load_checkpoint(trained / "ddp", LanguageProgress)
    for kind in KINDS:
        found = load_checkpoint(trained / kind, LanguageProgress)
        assert sorted(path.name for path in (trained / kind).iterdir()) == ["state.json", "state.safetensors"]
        assert found.progress.step == reference.progress.step
        for mine, theirs in ((found.weights, reference.weights), (found.optimizer, reference.optimizer)):
            assert mine.keys() == theirs.keys()
            for name, tensor in theirs.items():
                torch.testing.assert_close(mine[name], tensor, rtol=1e-3, atol=1e-6, msg=f"{kind} {name}")
