"""The page that plays recorded dialogues."""

import re
from pathlib import Path

import numpy as np
import pytest

from rapport.ray_jobs.reports.replay import replay_page
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.env import DialogueEnv
from rapport.simulator.media import RecordingError
from rapport.simulator.recording import DialogueRecorder, Recording, read_recording
from rapport.simulator.task import Task, load_task
from tests.simulator.toy_dialogue import RATE_HZ, TEMPLATE, speech, toy_services


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cafe_corner")


@pytest.fixture(scope="module")
def recording(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """An episode that is understood, one that is not, and one with a page's own characters in its words."""
    folder = str(tmp_path_factory.mktemp("recording"))
    recorder = DialogueRecorder(folder, rate_hz=RATE_HZ, scene_names={s.id: s.name for s in task.scenario.scenes.values()}, label="toy")
    env = DialogueEnv(task, toy_services(task, otherwise="stay"), TEMPLATE, SimulatorConfig(audio=True, height=300, width=300))
    assert task.patterns is not None
    for said in (None, "elephant", "<script>alert(1)</script>"):
        env.reset()
        recorder.take(0, env.transition)
        while not env.rows.over[0]:
            item = next(i for i in task.scenario.items.values() if i.name == env.transition.info["offered"][0])
            words = said or task.patterns.utterance(item, 1)
            env.step(speech(words) if said is None else words)
            recorder.take(0, env.transition, {"chosen": 0, "chosen_name": item.name, "best": [item.name]})
    recorder.close()
    return read_recording(folder)


@pytest.fixture(scope="module")
def page(task: Task, recording: Recording) -> str:
    return replay_page("A cafe", [(recording, episode) for episode in recording.episodes()], task)


def test_it_is_one_file_that_asks_for_nothing(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "http" not in re.sub(r'"data:[^"]*"', "", page)


def test_every_turn_is_told(page: str, recording: Recording) -> None:
    assert page.count('<article class="card turn"') == len(recording.turns)
    for turn in recording.turns:
        assert turn["episode"] in page
        assert turn["scene_name"] in page
        for name in turn["offered"]:
            assert name.replace("_", " ") in page
    first = recording.episodes()[0]
    assert all(turn["transcript"].replace("'", "&#39;") in page for turn in first)
    assert page.count(">understood</span>") == 1
    assert page.count(">missed</span>") == 2


def test_what_is_heard_can_be_played(page: str, recording: Recording) -> None:
    sounds = [turn[part] for turn in recording.turns for part in ("opening_audio", "said_audio", "reply_audio") if turn[part]]
    assert page.count("<audio ") == len(sounds) > 0
    assert page.count("data:audio/flac") == len(sounds)


def test_words_cannot_become_part_of_the_page(page: str) -> None:
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_large_pictures_are_made_small(page: str, recording: Recording) -> None:
    assert "data:image/jpeg" in page
    assert "data:image/png" not in page
    assert np.mean([len(turn["pictures"]) for turn in recording.turns]) == 2


def test_keys_are_told_and_bound(page: str) -> None:
    for key in ("ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Escape"):
        assert key in page
    assert page.count('tabindex="-1"') > 0
    assert "prefers-color-scheme: dark" in page


def test_a_sound_that_is_gone_is_told(task: Task, recording: Recording, tmp_path: Path) -> None:
    moved = Recording(str(tmp_path), recording.turns)
    with pytest.raises(RecordingError, match="which cannot be read"):
        replay_page("A cafe", [(moved, moved.episodes()[0])], task)


def test_episodes_without_kept_sounds_and_pictures_are_shown_in_words(task: Task, recording: Recording) -> None:
    bare = [{**turn, "pictures": [], "opening_audio": "", "said_audio": "", "reply_audio": ""} for turn in recording.episodes()[0]]
    page = replay_page("A cafe", [(recording, bare)], task)
    assert "<audio " not in page
    assert "<img " not in page
    assert "bakery corner" in page
