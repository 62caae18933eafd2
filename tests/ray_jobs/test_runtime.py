"""A job's command line, its last line and its exit status; joining a Ray that runs, and leaving it running."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.core.config import JobConfig
from rapport.core.errors import RapportError
from rapport.ray_jobs.runtime import ensure_token, job, job_name, start_ray


class ToyConfig(JobConfig):
    """A toy job."""

    answer: int = 0
    """What to answer."""


def run(config: ToyConfig) -> Mapping[str, Any]:
    return {"answer": config.answer, "score": np.float32(0.5), "undefined": float("nan"), "folder": f"{config.storage}/runs/toy"}


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_result_is_one_line_of_json_and_the_same_is_saved(capsys: pytest.CaptureFixture[str], storage_root: Path) -> None:
    job(ToyConfig, run, ["--answer", "42"])
    printed = last_line(capsys)
    assert printed == {"answer": 42, "score": 0.5, "undefined": None, "folder": f"{storage_root}/runs/toy"}
    assert json.loads((storage_root / "runs" / "toy" / "result.json").read_text()) == printed


def test_the_name_of_a_job_is_its_file() -> None:
    assert job_name(run) == "test_runtime"


def test_a_mendable_error_is_told_without_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: ToyConfig) -> Mapping[str, Any]:
        raise RapportError("seen 1, wanted 2, set --answer")

    with pytest.raises(SystemExit) as caught:
        job(ToyConfig, fail, ["--answer", "1"])
    assert caught.value.code == 1
    told = "error: seen 1, wanted 2, set --answer\nto go on: python -m rapport.ray_jobs.test_runtime --answer 1\n"
    assert capsys.readouterr().err == told


def test_a_command_line_that_is_wrong_is_not_offered_again(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        job(ToyConfig, run, ["--anser", "1"])
    assert "to go on" not in capsys.readouterr().err


def test_a_submitted_job_is_submitted_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(_: ToyConfig) -> Mapping[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}}))
    with pytest.raises(SystemExit):
        job(ToyConfig, stop, ["--storage", "/a b"])
    command = "ray job submit --working-dir . -- python -m rapport.ray_jobs.test_runtime --storage '/a b'"
    assert capsys.readouterr().err == f"stopped; to go on: {command}\n"


def test_a_mendable_error_inside_a_task_is_told_without_a_trace(ray_cluster: object, capsys: pytest.CaptureFixture[str]) -> None:
    import ray

    @ray.remote
    def task() -> None:
        raise RapportError("the file is empty")

    def fail(_: ToyConfig) -> Mapping[str, Any]:
        ray.get(task.remote())
        return {}

    with pytest.raises(SystemExit):
        job(ToyConfig, fail, [])
    assert "error: the file is empty\n" in capsys.readouterr().err


def test_a_mendable_error_in_a_training_worker_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    def fail(_: ToyConfig) -> Mapping[str, Any]:
        wrapped = UserExceptionWithTraceback(RapportError("no clip has a label"), "Traceback ...")
        raise WorkerGroupError("worker 0 died", {0: wrapped})

    with pytest.raises(SystemExit):
        job(ToyConfig, fail, [])
    assert capsys.readouterr().err.startswith("error: no clip has a label\n")


def test_any_other_error_rises() -> None:
    def fail(_: ToyConfig) -> Mapping[str, Any]:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        job(ToyConfig, fail, [])


def test_ctrl_c_ends_with_130() -> None:
    def stop(_: ToyConfig) -> Mapping[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        job(ToyConfig, stop, [])
    assert caught.value.code == 130


def test_a_result_that_is_not_ok_is_printed_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        job(ToyConfig, lambda _: {"ok": False}, [])
    assert caught.value.code == 1
    assert last_line(capsys) == {"ok": False}


def test_a_ray_that_runs_is_joined_and_left_running(ray_cluster: dict[str, float]) -> None:
    import ray

    with start_ray(num_cpus=1) as resources:
        assert resources["CPU"] == ray_cluster["CPU"]
    assert ray.is_initialized()


def test_the_cluster_of_ray_address_is_joined_and_left_running(ray_cluster: dict[str, float], repository: Path) -> None:
    import ray

    code = "from rapport.ray_jobs.runtime import start_ray\nwith start_ray(num_cpus=1) as resources: print(resources['CPU'])"
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) == ray_cluster["CPU"]
    assert ray.get(ray.remote(lambda: 7).remote()) == 7


@pytest.mark.parametrize("before", [None, 0o644])
def test_the_token_is_readable_by_its_owner_alone(before: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "somewhere" / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    if before is not None:
        path.parent.mkdir()
        path.write_text("mine")
        path.chmod(before)
    assert ensure_token() == path
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "mine" if before is not None else len(path.read_text()) == 64


def test_no_token_is_made_where_none_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert ensure_token() is None
    assert not list(tmp_path.iterdir())
