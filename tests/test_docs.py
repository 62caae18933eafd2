"""Every command in the README and the docs is one that its job accepts, and every link leads to a file."""

import ast
import inspect
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from rapport.core.config import load_config
from rapport.ray_jobs import serve_app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_COMMAND = re.compile(r"python -m rapport\.ray_jobs\.(\w+)((?:[^\n`]|\\\n)*)")


def commands() -> list[tuple[str, str, str]]:
    """Page, job and arguments of every command, comments cut off."""
    found = []
    for page in PAGES:
        for job, rest in _COMMAND.findall(page.read_text(encoding="utf-8")):
            found.append((page.name, job, rest.replace("\\\n", " ").split("  #")[0]))
    return found


def settings_of(job: str, arguments: list[str]) -> type:
    """The class that a job reads its command line into."""
    if job == "serve_app":
        return serve_app.config_kind(serve_app.chosen_app(arguments))
    module = import_module(f"rapport.ray_jobs.{job}")
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "job" and isinstance(node.args[0], ast.Name):
            return getattr(module, node.args[0].id)
    raise AssertionError(f"{job} is no job")


@pytest.mark.parametrize(("page", "job", "line"), commands(), ids=lambda value: str(value).strip()[:60])
def test_a_documented_command_is_accepted_by_its_job(page: str, job: str, line: str, tmp_path: Path) -> None:
    arguments = shlex.split(line)
    # Files of the reader's own.
    for place, argument in enumerate(arguments):
        if argument.endswith(".yaml") and not argument.startswith("-"):
            arguments[place] = str(tmp_path / "own.yaml")
            (tmp_path / "own.yaml").write_text("{}\n")
    try:
        load_config(settings_of(job, arguments), arguments, job=job)
    except SystemExit as end:
        assert end.code == 0, "--help alone may end it"  # noqa: PT017


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")) if not link.startswith("http")]
    assert not [link for link in links if link and not (page.parent / link).exists()]
