"""Agent folders load as they were published, and fail as the contract says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rapport.simulator.agent_folder import load_agent
from rapport.simulator.agents import BaseAgent, BaseAgentWithUnits, BaseTrainer, BaseTrainerWithUnits
from tests.simulator.example_project import edit, write_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path) / "agents" / "kiosk01"


def test_the_example_agent_is_made_and_pretrained(folder: Path, tmp_path: Path) -> None:
    agent, trainer = load_agent(folder, {"audio": {"noise_num": 3}})
    assert isinstance(agent, BaseAgent)
    assert isinstance(trainer, BaseTrainer)
    assert agent.agent_config == {"audio": {"noise_num": 3}}
    clips = [str(tmp_path / f"{i}.wav") for i in range(2)]
    for i, clip in enumerate(clips):
        soundfile.write(clip, np.full(10, i / 4), 22_050)
    assert trainer.pretrain(agent, {}, {"test": [clips]}, {}, {}, agent_dir="a", agent_experiment_dir="b") == {}
    assert agent.action2speech(np.array(1)) == pytest.approx(np.full(10, 0.25), abs=1e-3)


def _away(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


FAILURES: list[tuple[str, Callable[[Path], Any], type[Exception], str]] = [
    ("no folder", _away, ValueError, "no such agent folder"),
    ("no config", lambda f: (f / "agent_config.json").unlink(), FileNotFoundError, "agent_config.json: no such file"),
    ("bad json", lambda f: (f / "agent_config.json").write_text("{"), ValueError, "neither JSON nor YAML"),
    ("no key", lambda f: edit(f / "agent_config.json", '"agent_class": "KioskAgent", ', ""), ValueError, "agent_class: Field required"),
    ("odd key", lambda f: edit(f / "agent_config.json", '"agent_class"', '"agent_clas"'), ValueError, "did you mean agent_class?"),
    ("no class", lambda f: edit(f / "agent_config.json", "KioskAgent", "KoiskAgent"), ValueError, "did you mean 'KioskAgent'?"),
    ("wrong base", lambda f: edit(f / "agent.py", "class KioskAgent(BaseAgent)", "class KioskAgent"), TypeError, "is no BaseAgent"),
    ("trainer base", lambda f: edit(f / "trainer.py", "Trainer(BaseTrainer)", "Trainer"), TypeError, "is no BaseTrainer"),
    ("abstract", lambda f: edit(f / "agent.py", "def action2speech", "def action_to_speech"), TypeError, "abstract"),
    ("no trainer", lambda f: (f / "trainer.py").unlink(), FileNotFoundError, "trainer.py: no such file"),
    ("broken", lambda f: (f / "agent.py").write_text("import no_such_module"), ImportError, "no_such_module"),
]


@pytest.mark.parametrize(("harm", "kind", "message"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES])
def test_each_failure_is_of_the_published_kind(folder: Path, harm: Callable[[Path], Any], kind: type[Exception], message: str) -> None:
    harm(folder)
    with pytest.raises(kind) as caught:
        load_agent(folder, {})
    assert message in str(caught.value)


def test_a_trainer_with_units_pretrains_both_parts() -> None:
    class Agent(BaseAgentWithUnits):
        i2u = s2u = u2s = None  # type: ignore[assignment]

        def action2speech(self, action: np.ndarray) -> np.ndarray:
            return action

    class Trainer(BaseTrainerWithUnits):
        def train_i2u(self, agent, image_paths, audio_paths, base_config, config, agent_dir, agent_experiment_dir):
            return {"word_map_path": agent_dir}

        def train_u2s(self, agent, image_paths, audio_paths, base_config, config, agent_dir, agent_experiment_dir):
            return {"u2m": {}, "m2s": agent_experiment_dir}

        def train_rl(self, *given, **named):
            return None

    done = Trainer().pretrain(Agent({}), {}, {}, {}, {}, agent_dir="a", agent_experiment_dir="e")
    assert done == {"i2u": {"word_map_path": "a"}, "u2s": {"u2m": {}, "m2s": "e"}}

    class Mute(BaseAgent):
        def action2speech(self, action: np.ndarray) -> np.ndarray:
            return action

    with pytest.raises(TypeError, match="Mute is no BaseAgentWithUnits"):
        Trainer().pretrain(Mute({}), {}, {}, {}, {}, agent_dir="a", agent_experiment_dir="e")
