"""A machine that lacks something is told what, in one line, and nothing half-made is left."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile and nothing set up."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "uv.lock"):
        (tmp_path / name).write_text("")
    return tmp_path


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=checkout, capture_output=True, text=True, check=False)


def python(checkout: Path, script: str) -> str:
    """A stand-in for python3: a shell script."""
    path = checkout / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_without_a_target_the_targets_are_listed(checkout: Path) -> None:
    listed = make(checkout).stdout
    assert all(f"make {target}" in listed for target in ("quickstart", "test", "check", "serve", "bench"))
    assert not (checkout / ".uv").exists()


def test_a_missing_python_is_named(checkout: Path) -> None:
    done = make(checkout, "setup", "PYTHON=nonesuch")
    assert done.returncode != 0
    assert "No nonesuch here" in done.stdout
    assert "3.11" in done.stdout


def test_an_old_python_is_refused_with_its_version(checkout: Path) -> None:
    done = make(checkout, "setup", python(checkout, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac'))
    assert done.returncode != 0
    assert "Python 3.9.2 is not usable: wanted 3.11 to 3.13" in done.stdout


def test_a_python_that_cannot_make_environments_is_explained(checkout: Path) -> None:
    done = make(checkout, "setup", python(checkout, 'case "$*" in *venv*) exit 1;; *) exit 0;; esac'))
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stdout
    assert not (checkout / ".uv").exists()


def test_a_python_without_pip_is_explained_and_nothing_is_left(checkout: Path) -> None:
    script = 'case "$*" in *without-pip*) mkdir -p .uv/bin;; *"-m venv"*|*"-m pip"*) exit 1;; *) exit 0;; esac'
    done = make(checkout, "setup", python(checkout, script))
    assert done.returncode != 0
    assert "python3-pip" in done.stdout
    assert not (checkout / ".uv").exists()
