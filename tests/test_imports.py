"""One import name, wherever the code lies: a checkout first on `sys.path`, as Ray puts a job's working directory, or a wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

BOTH_NAMES = """
import sys
sys.path.insert(0, {first!r})
{order}
assert hasattr(datasets, "load_dataset"), f"datasets is {{datasets.__path__}}, wanted Hugging Face's"
assert rapport.datasets.corpora.ravdess.scan
print(rapport.__file__)
"""
OURS = "import rapport.datasets.corpora.ravdess"
THEIRS = "import datasets"


def _python(code: str, cwd: Path, **env: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("order", [f"{OURS}\n{THEIRS}", f"{THEIRS}\n{OURS}"], ids=["ours first", "theirs first"])
def test_hugging_face_datasets_wins_over_our_room_in_a_checkout(order: str) -> None:
    found = _python(BOTH_NAMES.format(first=str(ROOT), order=order), cwd=ROOT)
    assert found.strip() == str(ROOT / "rapport" / "__init__.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what a wheel of this tree installs."""
    uv = ROOT / ".uv" / "bin" / "uv"
    if not uv.exists():
        pytest.skip("uv is not set up here: run the tests with make")
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [str(uv), "build", "--wheel", "--quiet", "--out-dir", str(out), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_a_wheel_carries_every_room_and_its_data(wheel: Path) -> None:
    rooms = {p.name for p in (wheel / "rapport").iterdir() if p.is_dir()}
    assert rooms >= {"core", "training", "datasets", "models", "serve_apps", "tune_spaces", "ray_jobs"}
    assert not [p for p in wheel.iterdir() if p.name in ("datasets", "models")], "a room at the top of a wheel would hide a library"
    for folder in ("datasets/cards", "ray_jobs/configs", "ray_jobs/reports", "serve_apps/deploy", "models/emosds/wordings"):
        wanted = {p.name for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix in (".yaml", ".j2", ".html", ".md", ".txt")}
        shipped = {p.name for p in (wheel / "rapport" / folder).rglob("*") if p.is_file()}
        assert wanted <= shipped


def test_hugging_face_datasets_wins_over_our_room_in_a_wheel(wheel: Path, tmp_path: Path) -> None:
    found = _python(BOTH_NAMES.format(first=str(wheel), order=f"{OURS}\n{THEIRS}"), cwd=tmp_path)
    assert found.strip() == str(wheel / "rapport" / "__init__.py")


def test_a_job_from_a_wheel_finds_its_presets(wheel: Path, tmp_path: Path) -> None:
    shipped = sorted(p.stem for p in (ROOT / "ray_jobs" / "configs" / "train_ser").glob("*.yaml"))
    code = "from rapport.core.config import preset_names; print(preset_names('train_ser'))"
    assert _python(code, cwd=tmp_path, PYTHONPATH=str(wheel)).strip() == str(shipped)
