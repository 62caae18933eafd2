"""What can be known of the container image without building it."""

import fnmatch
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[1]
LOCKED = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if "version" in p}


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    """The instructions, in order."""
    return [s for s in DockerfileParser(str(ROOT / "Dockerfile")).structure if s["instruction"] != "COMMENT"]


def copied(steps: list[dict[str, Any]]) -> list[str]:
    """What comes from this repository."""
    lines = [shlex.split(s["value"]) for s in steps if s["instruction"] == "COPY" and "--from=" not in s["value"]]
    return [word for words in lines for word in words[:-1] if not word.startswith("--")]


def test_everything_that_is_copied_exists_and_is_let_through(steps: list[dict[str, Any]]) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    for name in copied(steps):
        assert (ROOT / name).exists(), name
        assert any(fnmatch.fnmatch(name, pattern) for pattern in let_through), name
    assert {"rapport", "datasets", "models", "serve_apps", "tune_spaces", "ray_jobs"} <= set(copied(steps))


def test_packages_are_those_of_the_lock_file_and_come_before_the_code(steps: list[dict[str, Any]]) -> None:
    installs = [i for i, s in enumerate(steps) if "uv sync" in s["value"]]
    code = [i for i, s in enumerate(steps) if s["instruction"] == "COPY" and s["value"].split()[-1] == "rapport"]
    assert len(installs) == 1
    assert "--locked" in steps[installs[0]]["value"]
    assert installs[0] < code[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"--extra (\S+)", steps[installs[0]]["value"])
    assert set(extras) <= set(project["optional-dependencies"])


def test_nothing_of_ours_runs_as_root_and_no_secret_is_built_in(steps: list[dict[str, Any]]) -> None:
    kinds = [s["instruction"] for s in steps]
    users = [i for i, kind in enumerate(kinds) if kind == "USER"]
    assert [steps[i]["value"] for i in users] == ["rapport"]
    assert users[0] < kinds.index("CMD")
    told = " ".join(s["value"] for s in steps if s["instruction"] in ("ENV", "ARG"))
    assert "RAY_AUTH_MODE=token" in told
    assert not re.search(r"(KEY|TOKEN|SECRET|PASSWORD)\s*=", told)


def test_the_compiler_is_of_the_cuda_that_torch_was_built_with(steps: list[dict[str, Any]]) -> None:
    bases = [s["value"] for s in steps if s["instruction"] == "FROM"]
    cuda = next(re.search(r"cuda:([\d.]+)-devel", base) for base in bases if "cuda" in base)
    assert cuda is not None
    assert cuda[1] == LOCKED["cuda-toolkit"]


def test_python_is_one_that_the_project_supports(steps: list[dict[str, Any]]) -> None:
    versions = set(re.findall(r"python[: ]?(3\.\d+)", " ".join(s["value"] for s in steps)))
    assert versions == {"3.12"}
