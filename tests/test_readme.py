"""The README's tree names every file, and its links and commands lead somewhere."""

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Told as folders: a test lies where its source does, and links mirror the rooms.
FOLDERS = ("tests/", ".typecheck/")


def _entries() -> dict[str, str]:
    """Path or pattern to gloss, from the indented tree; folders end in a slash."""
    block = README.split("## What is where")[1].split("```")[1]
    entries: dict[str, str] = {}
    parents: list[str] = []
    for line in block.strip("\n").splitlines():
        name, _, gloss = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        entries["".join(parents)] = gloss.strip()
    return entries


def _tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [f for f in done.stdout.splitlines() if (ROOT / f).exists()]


def test_every_file_is_in_the_tree() -> None:
    names = [name for name in _entries() if not name.endswith("/")]
    missing = [f for f in _tracked() if not f.startswith(FOLDERS) and not any(fnmatch(f, name) for name in names)]
    assert not missing, "gloss these in README.md"


def test_every_entry_of_the_tree_exists_and_is_glossed() -> None:
    entries = _entries()
    assert not [name for name in entries if not list(ROOT.glob(name))]
    assert not [name for name, gloss in entries.items() if not gloss and name != "README.md"]


def test_links_lead_to_files() -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_job_that_is_named_exists() -> None:
    named = set(re.findall(r"rapport\.ray_jobs\.(\w+)", README))
    assert named
    assert not [name for name in named if not (ROOT / "ray_jobs" / f"{name}.py").exists()]


def test_every_target_that_is_named_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)) <= targets
