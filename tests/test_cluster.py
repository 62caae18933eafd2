"""The launcher file is what `ray up` wants, and what leaves this computer with a job is small and holds no speech."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from rapport.ray_jobs.upload import MAX_UPLOAD_BYTES, uploaded_files

ROOT = Path(__file__).resolve().parents[1]


CLOUDS = ("cluster.yaml", "clusters/gcp.yaml")


@pytest.fixture(scope="module", params=[*CLOUDS, "clusters/local.yaml"])
def prepared(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A launcher file with Ray's defaults filled in, as `ray up` sees it."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config(yaml.safe_load((ROOT / request.param).read_text()))


def test_ray_accepts_the_file(prepared: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import validate_config

    validate_config(copy.deepcopy(prepared))


def test_no_gpu_is_rented_until_it_is_needed(prepared: dict[str, Any]) -> None:
    if prepared["provider"]["type"] == "local":
        pytest.skip("machines of one's own are not rented")
    workers = {name: kind for name, kind in prepared["available_node_types"].items() if name != prepared["head_node_type"]}
    assert any("gpu" in name for name in workers)
    assert all(kind["min_workers"] == 0 < kind["max_workers"] for kind in workers.values())


def test_every_start_asks_for_the_token_and_the_dashboard_stays_on_loopback(prepared: dict[str, Any]) -> None:
    starts = [c for room in ("head", "worker") for c in prepared[f"{room}_start_ray_commands"] if "ray start" in c]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "~/.ray/auth_token" in prepared["file_mounts"]
    assert any("chmod 600 ~/.ray/auth_token" in command for command in prepared["setup_commands"])


def test_the_nodes_install_from_the_lock_file(prepared: dict[str, Any]) -> None:
    assert any("uv sync --locked" in command for command in prepared["setup_commands"])
    assert {"pyproject.toml", "uv.lock"} <= set(prepared["file_mounts"].values())
    assert all((ROOT / local).exists() for local in prepared["file_mounts"].values() if not local.startswith("~"))


def test_a_job_takes_code_along_and_nothing_heavy() -> None:
    files = {path.relative_to(ROOT).as_posix(): size for path, size in uploaded_files(ROOT)}
    assert {"rapport/__init__.py", "ray_jobs/runtime.py", "pyproject.toml"} <= set(files)
    assert not [f for f in files if f.split("/")[0] in (".git", ".venv", ".uv", ".typecheck", "docs", "tests")]
    assert not [f for f in files if Path(f).suffix.lower() in (".wav", ".flac", ".mp3", ".parquet", ".safetensors", ".pyc")]
    assert sum(files.values()) < MAX_UPLOAD_BYTES / 50


def test_ignored_files_stay_behind(tmp_path: Path) -> None:
    (tmp_path / ".rayignore").write_text("*.wav\nsecret/\n")
    (tmp_path / ".gitignore").write_text("out/\n")
    for name in ("code.py", "a/clip.wav", "secret/key", "out/model.bin", ".venv/lib/x.py", "a/b/more.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    found = {p.relative_to(tmp_path).as_posix() for p, _ in uploaded_files(tmp_path)}
    assert found == {".rayignore", ".gitignore", "code.py", "a/b/more.py"}


def test_the_upload_holds_the_pages_of_the_apps_and_leaves_the_documents() -> None:
    uploaded = {str(file.relative_to(ROOT)) for file, _ in uploaded_files(ROOT)}
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "serve_apps").rglob("*.html")}
    assert pages <= uploaded
    assert not [file for file in uploaded if file.startswith(("docs/", "tests/"))]
