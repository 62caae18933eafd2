"""Every shipped job can be asked for help at once, and every shipped preset is accepted by its own job."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rapport.core.config import JobConfig, dump_config, read_config

ROOT = Path(__file__).resolve().parents[1]
PRESETS = sorted((ROOT / "ray_jobs" / "configs").glob("*/*.yaml"))


def _config_name(path: Path) -> str | None:
    """The class that a job passes to `job(...)` at its end, or None when the file is no job."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "job" and isinstance(node.args[0], ast.Name):
            return node.args[0].id
    return None


JOBS = {p.stem: name for p in sorted((ROOT / "ray_jobs").glob("*.py")) if p.stem != "runtime" and (name := _config_name(p))}


def _config_class(job: str) -> type[JobConfig]:
    return getattr(import_module(f"rapport.ray_jobs.{job}"), JOBS[job])


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_shipped_preset_is_accepted_by_its_job(path: Path, tmp_path: Path) -> None:
    assert path.parent.name in JOBS, f"{path} belongs to no job"
    config = read_config(_config_class(path.parent.name), path)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_config(config))
    assert read_config(_config_class(path.parent.name), resolved) == config


@pytest.mark.parametrize("job", JOBS)
def test_every_setting_of_a_job_is_explained(job: str) -> None:
    silent: list[str] = []

    def walk(kind: type, prefix: str) -> None:
        for name, field in kind.model_fields.items():  # type: ignore[attr-defined]
            if not (field.description or "").strip():
                silent.append(f"{prefix}{name}")
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                walk(field.annotation, f"{prefix}{name}.")

    walk(_config_class(job), "")
    assert not silent, "each needs a sentence under it"


@pytest.mark.parametrize("job", JOBS)
def test_help_comes_without_loading_torch_or_ray(job: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('rapport.ray_jobs.{job}', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = [m for m in ('torch', 'ray', 'transformers', 'librosa', 'sklearn', 'matplotlib') if m in sys.modules]\n"
        "assert not heavy, f'--help loads {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"rapport.ray_jobs.{job}" in done.stdout
    assert "--storage" in done.stdout
