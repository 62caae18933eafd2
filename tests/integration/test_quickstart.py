"""The quickstart as a user runs it, at its smallest: a cluster, jobs submitted to it, a served model, a report; and nothing left behind."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(600)

TINY = """
corpora: [ravdess, cremad]
noise: musan
model:
  encoder:
    logmel: {bands: 32, width: 0.25, hop_samples: 320, projection: 16, gru_hidden: 16}
  head: {hidden: 16}
training: {epochs: 2, batch_size: 16, mixup: 0, ema_decay: 0.5}
augment:
  noise: {p: 0.5}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quickstart")
    (folder / "tiny.yaml").write_text(TINY)
    return folder


def quickstart(folder: Path, repository: Path) -> tuple[dict[str, Any], str]:
    """The last line of a quickstart, and what it told."""
    flags = ["--exit", "--speakers", "4", "--utterances", "8", "--preset", str(folder / "tiny.yaml"), "--port", "8631"]
    flags += ["--report", str(folder / "report.html")]
    # Every process of the cluster inherits this, which is how the last test knows them.
    environment = {**os.environ, "RAPPORT_STORAGE": str(folder)}
    command = [sys.executable, "-m", "rapport.ray_jobs.quickstart", *flags]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def first(folder: Path, repository: Path) -> tuple[dict[str, Any], str]:
    return quickstart(folder, repository)


@pytest.mark.slow
def test_it_goes_all_the_way_and_says_so(first: tuple[dict[str, Any], str], folder: Path) -> None:
    result, told = first
    assert result["report"] == str(folder / "report.html")
    assert set(result["steps"]) == {
        *(f"{verb}_{corpus}" for verb in ("make", "prepare") for corpus in ("ravdess", "cremad", "musan")),
        "train",
        "evaluate",
        "serve",
    }
    assert 0 <= result["uar"] <= 1
    assert Path(result["model"], "config.json").exists()
    assert Path(result["evaluation"]).exists()
    assert "clips that were posted to it" in told
    assert "[11/11]" in told


@pytest.mark.slow
def test_the_report_is_one_file_that_needs_nothing_else(first: tuple[dict[str, Any], str], folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 8 + 1  # a clip of each emotion, and the recording
    loaded = re.findall(r"""(?:src|<link[^>]+href)=["']([^"']+)""", page)
    assert loaded
    assert not [target for target in loaded if not target.startswith("data:")]
    assert "/v1/audio/emotions" in page
    assert "python -m rapport.ray_jobs.train_ser" in page
    assert "--app companion" in page
    assert '<html lang="en">' in page
    assert "that an earlier run had finished" not in page


@pytest.mark.slow
def test_a_second_run_repeats_nothing_but_serving(first: tuple[dict[str, Any], str], folder: Path, repository: Path) -> None:
    result, told = quickstart(folder, repository)
    assert told.count("(from an earlier run)") == 8
    assert result["uar"] == first[0]["uar"]
    assert result["model"] == first[0]["model"]
    assert "beside 8 steps that an earlier run had finished" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_nothing_is_left_running(first: tuple[dict[str, Any], str], folder: Path) -> None:
    def remaining() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"RAPPORT_STORAGE={folder}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    end_s = time.monotonic() + 10
    while remaining() and time.monotonic() < end_s:
        time.sleep(0.2)
    assert not remaining()
