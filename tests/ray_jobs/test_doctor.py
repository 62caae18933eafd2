"""The doctor looks at this machine, or at every machine of the cluster it is submitted to."""

from pathlib import Path

import pytest

from rapport.ray_jobs.doctor import DoctorConfig, run


def test_every_machine_of_a_cluster_is_examined(
    ray_cluster: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    result = run(DoctorConfig(storage=str(tmp_path)))
    assert result["ok"], result
    assert {f["machine"] for f in result["findings"]} == {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    assert "shared storage" in {f["check"] for f in result["findings"]}
    assert not list(tmp_path.iterdir())
    assert "Nothing that is needed is missing." in capsys.readouterr().err


def test_the_machine_itself_is_examined_without_a_cluster(tmp_path: Path, repository: Path) -> None:
    result = run(DoctorConfig(storage=str(tmp_path), working_dir=str(repository)))
    assert {"token", "ports", "upload size", "model hub"} <= {f["check"] for f in result["findings"]}
