"""Recordings: what is held is written down and read back, and what cannot be written is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.core import storage
from rapport.simulator.agent_env import AgentEnv, AgentVectorEnv
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.env import DialogueEnv, open_env
from rapport.simulator.media import RecordingError, encode_picture, encode_speech, read_picture, read_speech
from rapport.simulator.recorder import recorded
from rapport.simulator.recording import DialogueRecorder, read_recording
from rapport.simulator.requests import PictureRequest
from rapport.simulator.task import Task, load_task
from rapport.simulator.vector_env import DialogueVectorEnv
from tests.simulator.toy_dialogue import RATE_HZ, TEMPLATE, ToyBody, counted, speech, toy_services, toy_task


@pytest.fixture
def task() -> Task:
    return load_task("cafe")


def recorder(folder: Path, **options: Any) -> DialogueRecorder:
    return DialogueRecorder(str(folder), rate_hz=RATE_HZ, **options)


def asked(task: Task, name: str) -> str:
    """How an item is asked for."""
    assert task.patterns is not None
    return task.patterns.utterance(next(item for item in task.scenario.items.values() if item.name == name), 0)


def hold_and_close(env: Any) -> None:
    """An episode in which espresso is asked for until it is over."""
    env.reset()
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step("one espresso please")
        over = terminated or truncated
    env.close()


def test_a_vector_of_dialogues_is_recorded_turn_by_turn(task: Task, tmp_path: Path) -> None:
    names = {scene.id: scene.name for scene in task.scenario.scenes.values()}
    env = recorded(DialogueVectorEnv(task, toy_services(task), TEMPLATE, num_envs=3), recorder(tmp_path, scene_names=names, label="first"))
    _, infos = env.reset(seed=4)
    steps = []
    for _ in range(6):
        steps.append(env.step([asked(task, offered[0]) if offered else "" for offered in infos["offered"]]))
        infos = steps[-1][4]
    env.close()
    read = read_recording(str(tmp_path))
    acted = [(row, step) for step in steps for row in range(3) if step[4].get("_transcript", [False] * 3)[row]]
    assert len(read.turns) == len(acted)
    found = {(turn["episode"], turn["turn"]): turn for turn in read.turns}
    for row, (_, rewards, terminated, truncated, told) in acted:
        turn = found[told["seed"][row], told["talk_step"][row]]
        for key in ("transcript", "verdict", "item_name", "item_id", "next_scene_id", "reason", "problem", "failed"):
            assert turn[key] == told[key][row], key
        assert (turn["reward"], turn["terminated"], turn["truncated"]) == (rewards[row], terminated[row], truncated[row])
        assert turn["said"] == told["transcript"][row]
        assert turn["scene_name"] == names[turn["scene_id"]]
        assert turn["label"] == "first"
        assert turn["transcript"] == asked(task, turn["offered"][0]), "the offer that was met, not the one after"
        assert len(turn["pictures"]) == len(turn["offered"])


def test_sounds_and_pictures_come_back_as_they_were(task: Task, tmp_path: Path) -> None:
    env = recorded(DialogueEnv(task, toy_services(task), TEMPLATE, SimulatorConfig(audio=True)), recorder(tmp_path))
    _, info = env.reset(seed=1)
    first = env.unwrapped.transition  # type: ignore[attr-defined]
    said = speech(asked(task, info["offered"][1])) * 50
    env.step(said)
    last = env.unwrapped.transition  # type: ignore[attr-defined]
    env.close()
    turn = read_recording(str(tmp_path)).turns[0]
    for path, image in zip(turn["pictures"], first.next.dialogue_scene.images, strict=True):
        assert np.array_equal(read_picture(str(tmp_path / path)), image)
    assert np.array_equal(read_speech(str(tmp_path / turn["said_audio"])), said), "beyond full scale too"
    assert np.array_equal(read_speech(str(tmp_path / turn["opening_audio"])), first.next.dialogue_scene.prompt_waveform)
    assert np.array_equal(read_speech(str(tmp_path / turn["reply_audio"])), last.next.dialogue_feedback.response_waveform)
    assert turn["clipped"] > 0
    assert turn["said_s"] == pytest.approx(len(said) / RATE_HZ)
    assert np.array_equal(np.array(turn["internal_state"], np.float32), first.next.internal_state)


def test_what_an_agent_chose_is_recorded(task: Task, tmp_path: Path) -> None:
    services = toy_services(task)
    items = list(task.scenario.items.values())
    pictures = services.pictures.batch([PictureRequest(i.id, i.name, i.prompt, "train", 0, 0, 64, 64) for i in items])
    body = ToyBody({item.name: picture for item, picture in zip(items, pictures, strict=True)})  # type: ignore[misc]
    env = recorded(AgentVectorEnv(task, services, TEMPLATE, body, num_envs=2), recorder(tmp_path, media=0))
    _, infos = env.reset(seed=2)
    offered = infos["offered"]
    env.step({"image": np.array([1, 0]), "sentence": np.zeros((2, 2), np.float32)})
    env.close()
    turns = {turn["number"]: turn for turn in read_recording(str(tmp_path)).turns}
    single = recorded(AgentEnv(task, services, TEMPLATE, body), recorder(tmp_path / "single"))
    _, info = single.reset(seed=2)
    single.step({"image": 1, "sentence": np.zeros(2, np.float32)})
    single.close()
    assert read_recording(str(tmp_path / "single")).turns[0]["chosen_name"] == info["offered"][1]
    assert [(turns[row]["chosen"], turns[row]["chosen_name"]) for row in (0, 1)] == [(1, offered[0][1]), (0, offered[1][0])]
    assert turns[0]["said_s"] > 0
    assert not turns[0]["said_audio"]
    assert not (tmp_path / "audio").exists()
    assert not (tmp_path / "images").exists()


def test_only_the_first_episodes_keep_their_sounds_and_a_folder_is_added_to(task: Task, tmp_path: Path) -> None:
    for _ in range(2):
        env = recorded(DialogueVectorEnv(task, toy_services(task), TEMPLATE, num_envs=2), recorder(tmp_path, media=1))
        env.reset(seed=0)
        env.step([speech("hello")] * 2)
        env.close()
    read = read_recording(str(tmp_path))
    assert [turn["number"] for turn in read.turns] == [0, 1, 2, 3]
    assert [bool(turn["said_audio"]) for turn in read.turns] == [True, False, True, False]
    assert [len(episode) for episode in read.episodes()] == [1, 1, 1, 1]
    assert sorted(path.name for path in (tmp_path / "turns").iterdir()) == ["part-00000.parquet", "part-00001.parquet"]


def test_an_episode_that_a_service_broke_off_is_recorded_with_the_reason(tmp_path: Path) -> None:
    task = toy_task()
    services = toy_services(task)

    def die(requests: Any) -> None:
        raise OSError("gone")

    counted(services, "ears").fail = die
    env = recorded(DialogueEnv(task, services, TEMPLATE, SimulatorConfig(retries=0)), recorder(tmp_path))
    env.reset(seed=0)
    env.step(speech("pen"))
    env.close()
    turn = read_recording(str(tmp_path)).turns[0]
    assert "gone" in turn["failed"]
    assert turn["truncated"]


def test_a_task_wrapper_is_recorded_through(tmp_path: Path) -> None:
    import gymnasium as gym

    task = toy_task(wrap=lambda env: gym.wrappers.TransformReward(env, lambda reward: 2 * float(reward)))
    env = recorded(open_env(task, toy_services(task), TEMPLATE), recorder(tmp_path))
    _, info = env.reset(seed=0)
    _, reward, *_ = env.step(info["offered"][0])
    env.close()
    assert reward == 2
    assert read_recording(str(tmp_path)).turns[0]["reward"] == 1, "the task's own"


def test_an_unfinished_episode_is_written_at_the_end(tmp_path: Path) -> None:
    task = toy_task()
    env = recorded(DialogueEnv(task, toy_services(task, otherwise="stay"), TEMPLATE), recorder(tmp_path))
    env.reset(seed=0)
    env.step("hello")
    env.close()
    turn = read_recording(str(tmp_path)).turns[0]
    assert not turn["terminated"]
    assert not turn["truncated"]


@pytest.mark.parametrize("what", ["write_bytes", "write_table"])
def test_a_full_disk_is_told(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    env = recorded(DialogueEnv(task, toy_services(task), TEMPLATE), recorder(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, what, full)
    with pytest.raises(RecordingError, match="No space left on device"):
        hold_and_close(env)


def break_off(task: Task, kept: DialogueRecorder) -> None:
    """An episode, and then an error that has nothing to do with its recording."""
    env = DialogueEnv(task, toy_services(task), TEMPLATE)
    with kept:
        env.reset()
        kept.take(0, env.transition)
        env.step("one espresso please")
        kept.take(0, env.transition)
        raise ZeroDivisionError


def test_an_error_of_the_dialogues_is_not_hidden_and_finished_episodes_are_kept(task: Task, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        break_off(task, recorder(tmp_path))
    assert len(read_recording(str(tmp_path)).turns) == 1
    (tmp_path / "taken").write_text("")
    with pytest.raises(ZeroDivisionError) as told:
        break_off(task, recorder(tmp_path / "taken", media=0))
    assert any("taken" in note for note in told.value.__notes__)


def test_a_folder_that_is_a_file_is_told(task: Task, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    env = recorded(DialogueEnv(task, toy_services(task), TEMPLATE), recorder(tmp_path / "taken"))
    with pytest.raises(RecordingError, match="taken"):
        hold_and_close(env)


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        read_recording(str(tmp_path))
    with pytest.raises(RecordingError, match="wanted a picture"):
        read_picture(str(tmp_path / "none.png"))
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(RecordingError, match=r"text\.wav"):
        read_speech(str(tmp_path / "text.wav"))


def test_equal_sounds_and_pictures_are_equal_files() -> None:
    samples = np.linspace(-2, 2, 500, dtype=np.float32)
    assert encode_speech(samples, 8_000) == encode_speech(samples.copy(), 8_000)
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert encode_picture(picture) == encode_picture(picture.copy())
