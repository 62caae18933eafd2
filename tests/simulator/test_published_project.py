"""A published project runs as it is: its experiment, task, wrapper, agent and trainer."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core.config import ConfigError
from rapport.simulator.experiment import load_experiment
from rapport.simulator.published_logs import load_log
from rapport.simulator.published_project import run_experiment, simulator_config
from rapport.simulator.requests import Services
from rapport.simulator.task import Task, load_task
from tests.simulator.example_project import edit, write_project
from tests.simulator.toy_dialogue import RATE_HZ, counted, speech, toy_services


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write_project(tmp_path / "project")
    # Smaller pictures, fewer steps and the folder of outputs left to the simulator: a quick run of the same code.
    edit(root / "experiments" / "cafe.yaml", "guidance_scale: 4, height: 512, width: 512", "guidance_scale: 4, height: 32, width: 32")
    for file in ("task_functions.py", "task_wrappers.py"):
        edit(root / "tasks" / "cafe" / file, "512, 512", "32, 32")
    edit(root / "experiments" / "cafe.yaml", "steps: 200", "steps: 12")
    edit(root / "experiments" / "cafe.yaml", ' dir_id: "1",', "")
    return root


def _clips(folder: Path) -> list[list[str]]:
    folder.mkdir()
    for name in ("espresso", "green tea"):
        soundfile.write(folder / f"{name}.wav", speech(name), RATE_HZ, subtype="FLOAT")
    return [[str(clip)] for clip in sorted(folder.glob("*.wav"))]


def test_the_example_project_trains_in_its_task(project: Path, tmp_path: Path) -> None:
    held: list[Services] = []

    def services(task: Task) -> Services:
        held.append(toy_services(task))
        return held[0]

    clips = {"test": _clips(tmp_path / "clips")}
    outputs = [run_experiment(project, "cafe.yaml", services if not i else toy_services, {}, clips).name for i in range(2)]
    assert outputs == ["00001", "00002"]
    heard = [request.heard for request in counted(held[0], "judge").asked if request.heard]  # type: ignore[union-attr]
    assert len(heard) == 12
    assert set(heard) == {"espresso", "green tea"}


def test_an_experiment_stands_for_settings_of_the_simulator(shared_data: Path) -> None:
    config = simulator_config(load_experiment(shared_data / "spolacq" / "experiments" / "food_task.yaml"))
    assert (config.audio, config.sampling_rate_hz, config.images_per_item) == (False, 22_050, 10)
    assert (config.height, config.width, config.mode) == (512, 512, "train")


def test_a_named_folder_of_outputs_is_kept(project: Path, tmp_path: Path) -> None:
    edit(project / "experiments" / "cafe.yaml", "device: cuda, sampling_rate", 'device: cuda, dir_id: "7", sampling_rate')
    clips = {"test": _clips(tmp_path / "clips")}
    assert run_experiment(project, "cafe.yaml", toy_services, {}, clips) == project / "agents" / "kiosk01" / "cafe" / "7"


def test_what_is_broken_is_told_before_anything_is_trained(project: Path) -> None:
    edit(project / "agents" / "kiosk01" / "agent_config.json", "KioskTrainer", "Trainer")
    with pytest.raises(ConfigError, match="trainer_class"):
        run_experiment(project, "cafe.yaml", toy_services, {}, {"test": []})
    assert not (project / "agents" / "kiosk01" / "cafe").exists()


def test_silence_is_a_legal_turn_of_a_published_agent(project: Path, tmp_path: Path) -> None:
    clip = tmp_path / "silence.wav"
    soundfile.write(clip, np.zeros(100, np.float32), RATE_HZ)
    held: list[Services] = []

    def services(task: Task) -> Services:
        held.append(toy_services(task))
        return held[0]

    run_experiment(project, "cafe.yaml", services, {}, {"test": [[str(clip)]]})
    asked = counted(held[0], "judge").asked
    assert len(asked) >= 12
    assert {request.heard for request in asked} == {""}  # type: ignore[union-attr]


def test_dialogues_are_recorded_where_the_experiment_says_so(project: Path, tmp_path: Path) -> None:
    edit(project / "experiments" / "cafe.yaml", "record_train_env: False", "record_train_env: True")
    run_experiment(project, "cafe.yaml", toy_services, {}, {"test": _clips(tmp_path / "clips")})
    logs = sorted((project / "data" / "cafe" / "00001" / "rl" / "logs" / "train").iterdir())
    scenario = load_task(project / "tasks" / "cafe").scenario
    turns = [turn for log in logs for turn in load_log(log, scenario)]
    assert len(turns) == 12
    assert not (project / "data" / "cafe" / "00001" / "rl" / "logs" / "test").exists()  # its trainer holds no test dialogues
