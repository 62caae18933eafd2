"""The published import names work inside loaded folders, also later, and are seen nowhere else."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from rapport.simulator import agents, state
from rapport.simulator.published_names import BrokenModule, PublishedNames


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    (tmp_path / "agents" / "kiosk").mkdir(parents=True)
    (tmp_path / "tasks" / "shop" / "parts").mkdir(parents=True)
    return tmp_path / "tasks"


def _load(tasks: Path, code: str, **files: str) -> ModuleType:
    for name, text in {"main": code, **files}.items():
        (tasks / "shop" / f"{name.replace('__', '/')}.py").write_text(text)
    return PublishedNames.of_task(tasks / "shop").load("tasks.shop.main")


def test_the_published_modules_are_ours(tasks: Path) -> None:
    module = _load(
        tasks,
        "from env.data_models import EnvironmentState, DialogueScene, DialogueFeedback, FeedbackItem\n"
        "import agents.base_agent, agents.base_trainer as trainer\n"
        "from agents import base_agent_with_units\n"
        "from agents.base_agent_with_units import BaseAgentWithUnits, BaseImage2Unit, BaseSpeech2Unit, BaseUnit2Speech, BaseRLUnit\n"
        "import env\n",
    )
    assert module.EnvironmentState is state.EnvironmentState
    assert module.agents.base_agent.BaseAgent is agents.BaseAgent
    assert module.trainer.BaseTrainerWithUnits is agents.BaseTrainerWithUnits
    assert module.base_agent_with_units.BaseAgentWithUnits is module.BaseAgentWithUnits is agents.BaseAgentWithUnits
    assert module.env.data_models is state


def test_files_of_a_project_find_each_other(tasks: Path) -> None:
    (tasks.parent / "agents" / "kiosk" / "voice.py").write_text("LOUD = 11")
    module = _load(
        tasks,
        "from tasks.shop.other import VALUE\n"
        "from .other import VALUE as same\n"
        "from . import other\n"
        "from .parts import deep\n"
        "from agents.kiosk.voice import LOUD\n"
        "import tasks.shop.other as named\n",
        other="VALUE = object()",
        parts__deep="from ..other import VALUE",
    )
    assert module.VALUE is module.same is module.other.VALUE is module.deep.VALUE is module.named.VALUE
    assert module.LOUD == 11
    assert module.__name__ == "tasks.shop.main"


def test_modules_that_import_each_other_load(tasks: Path) -> None:
    assert (
        _load(
            tasks, "from tasks.shop import other\nVALUE = 1", other="import tasks.shop.main as main\ndef f(): return main.VALUE"
        ).other.f()
        == 1
    )


def test_imports_inside_functions_work_when_all_is_loaded(tasks: Path) -> None:
    module = _load(
        tasks,
        "def later():\n    from agents.base_agent import BaseAgent\n    import tasks.shop.other\n    return BaseAgent, tasks.shop.other.X",
        other="X = 3",
    )
    assert module.later() == (agents.BaseAgent, 3)


def test_nobody_else_sees_them(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ModuleType("agents")
    monkeypatch.setitem(sys.modules, "agents", foreign)
    before = set(sys.modules)
    module = _load(tasks, "import agents\nfrom agents.base_agent import BaseAgent")
    assert module.agents is not foreign
    assert sys.modules["agents"] is foreign
    assert not {name for name in set(sys.modules) - before if name.split(".")[0] in ("env", "tasks", "agents")}


def test_other_imports_are_pythons_own(tasks: Path) -> None:
    module = _load(tasks, "import os.path, json as j\nfrom collections import abc\nfrom math import *")
    assert module.os is sys.modules["os"]
    assert module.j is sys.modules["json"]
    assert module.pi > 3


def test_dataclasses_with_written_types_work(tasks: Path) -> None:
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
        "@dataclass\nclass P:\n    N: ClassVar[int] = 2\n    x: int = 1"
    )
    module = _load(tasks, code)
    assert module.P(4).x == 4


def test_two_projects_do_not_meet(tasks: Path, tmp_path: Path) -> None:
    other = tmp_path / "second" / "tasks"
    (other / "shop").mkdir(parents=True)
    first = _load(tasks, "from tasks.shop.other import X", other="X = 1")
    second = _load(other, "from tasks.shop.other import X", other="X = 2")
    assert (first.X, second.X) == (1, 2)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import tasks.shop.none", "no module 'tasks.shop.none'"),
        ("from tasks.shop import none", "cannot import name 'none'"),
        ("from env.data_modles import X", "no module 'env.data_modles'"),
        ("from agents.base_agent import BaseAgnet", "cannot import name 'BaseAgnet'"),
        ("1 / 0", "ZeroDivisionError"),
        ("from tasks.shop import broken", "broken.py: cannot be imported: ZeroDivisionError"),
    ],
)
def test_code_that_cannot_be_imported_is_told_by_file(tasks: Path, code: str, message: str) -> None:
    with pytest.raises(BrokenModule) as caught:
        _load(tasks, code, broken="1 / 0")
    assert message in str(caught.value)
    assert ".py" in str(caught.value)
    names = PublishedNames.of_task(tasks / "shop")
    (tasks / "shop" / "main.py").write_text("X = 1")
    assert names.load("tasks.shop.main").X == 1
