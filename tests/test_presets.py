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


def _job_call(path: Path) -> ast.expr | None:
    """The class, or the expression for it, that a job passes to `job(...)` at its end; None when the file is no job."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "job":
            return node.args[0]
    return None


CALLS = {p.stem: call for p in sorted((ROOT / "ray_jobs").glob("*.py")) if (call := _job_call(p))}
# serve_app makes its class from the app that is served; its apps have tests of their own.
JOBS = {name: call.id for name, call in CALLS.items() if isinstance(call, ast.Name)}


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


@pytest.mark.parametrize("job", CALLS)
def test_help_comes_without_loading_torch_or_ray(job: str) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('rapport.ray_jobs.{job}', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = [m for m in ('torch', 'ray', 'transformers', 'librosa', 'sklearn', 'matplotlib') if m in sys.modules]\n"
        "assert not heavy, f'--help loads {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"rapport.ray_jobs.{job}" in done.stdout
    assert "--storage" in done.stdout
