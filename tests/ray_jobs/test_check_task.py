"""The check of a task folder as a user runs it."""

import json
import shutil
from pathlib import Path

import pytest

from rapport.core.config import ConfigError
from rapport.core.errors import RapportError
from rapport.ray_jobs.check_task import CheckTaskConfig, run
from rapport.simulator.shipped import TASKS


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A copy of a shipped task, to be spoiled."""
    return Path(shutil.copytree(TASKS / "cafe", tmp_path / "cafe"))


def check(task: object, tmp_path: Path, **values: object) -> dict:
    config = {"storage": str(tmp_path / "storage"), "task": str(task), "ears": False, "hold": 4, **values}
    return dict(run(CheckTaskConfig.model_validate(config)))


def edit(path: Path, change: object) -> None:
    data = json.loads(path.read_text())
    change(data)  # type: ignore[operator]
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("name", ["cafe", "cafe_corner"])
def test_shipped_tasks_are_without_fault(name: str, tmp_path: Path) -> None:
    found = check(name, tmp_path, ears=True)
    assert found["warnings"] == []
    assert found["ok"]
    assert 0 < found["random_return"] < 1
    folder = Path(found["folder"])
    assert (folder / "scenario.dot").read_text().startswith("digraph")
    assert (folder / "scenario.mmd").read_text().startswith("flowchart")
    assert len((folder / "sentences.txt").read_text().splitlines()) == found["sentences"]


def test_oddities_are_warnings_and_fail_on_demand(task: Path, tmp_path: Path) -> None:
    edit(task / "cafe.json", lambda data: data["items"].append({"id": 99, "name": "ghost"}))
    found = check(task, tmp_path)
    assert any("ghost" in warning for warning in found["warnings"])
    assert found["ok"]
    assert not check(task, tmp_path, warnings_fail=True)["ok"]


def test_words_that_ears_lack_are_told(task: Path, tmp_path: Path) -> None:
    edit(task / "cafe.json", lambda data: data["items"][0].update(name="zwxqv"))
    found = check(task, tmp_path, ears=True, hold=0)
    assert any("zwxqv" in warning for warning in found["warnings"])


def test_a_task_that_never_pays_is_told(task: Path, tmp_path: Path) -> None:
    (task / "task_functions.py").write_text(
        (task / "task_functions.py").read_text() + "\n\ndef reward_function(current_env, action_waveform, next_env):\n    return 0.0\n"
    )
    assert any("reward_function" in warning for warning in check(task, tmp_path)["warnings"])


def test_functions_that_raise_are_told_with_their_folder(task: Path, tmp_path: Path) -> None:
    (task / "task_functions.py").write_text(
        (task / "task_functions.py").read_text() + "\n\ndef reward_function(current_env, action_waveform, next_env):\n    return 1 / 0\n"
    )
    with pytest.raises(RapportError, match=r"cafe.*ZeroDivisionError"):
        check(task, tmp_path)


def test_what_is_wrong_stops_it_with_file_and_key(task: Path, tmp_path: Path) -> None:
    edit(task / "cafe.json", lambda data: data["scenes"][0].update(posible_next_scenes=[1]))
    with pytest.raises(ConfigError, match=r"cafe\.json"):
        check(task, tmp_path)
    with pytest.raises(RapportError, match="no task"):
        check("nowhere", tmp_path)
