"""Logs in the published layout: a JSON list of each dialogue's turns beside its sounds and pictures, and the way back to state objects.

    recorder = LogRecorder("data/cafe/1/rl", task, mode="test", rate_hz=22_050)
    turns = load_log("data/cafe/1/rl/logs/test/1_log.json", task.scenario)

logs/<mode>/<d>_log.json                    dialogue d, counted from 1
audio/<mode>/<d>/<k>_<what>.wav             of its turn k, counted from 1
images/<mode>/<id>_<name>_<i>.png           pictures of an item, counted from 0

Beside the published keys stand `action_text`, `terminated`, `truncated`, what was said, and how internal states are typed: published
logs lack them, and are loaded without. Logs that are there already are added to.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.simulator.media import RecordingError, encode_picture, encode_speech, keep, read_picture, read_speech
from rapport.simulator.recorder import Episode, RecordedTurn, Recorder
from rapport.simulator.scenario import Item, Scenario
from rapport.simulator.state import DialogueFeedback, DialogueScene, EnvironmentState, FeedbackItem
from rapport.simulator.task import Task
from rapport.simulator.transition import Action

_LOG = re.compile(r"(\d+)_log\.json")
_IMAGE = re.compile(r"(-?\d+)_(.*)_(\d+)\.png")
_WORDS = ("transcript", "verdict", "reply", "reason", "item_name", "problem", "seed")
"""What the published logs leave out."""


@dataclass(frozen=True)
class LoggedTurn:
    """A turn that was loaded."""

    before: EnvironmentState
    action: Action | None
    """None when nothing was logged of it."""
    after: EnvironmentState
    reward: float


class LogRecorder(Recorder):
    """Writes the published layout below a folder, which upstream calls `data/<task>/<dir_id>/rl`."""

    def __init__(self, folder: str, task: Task, *, mode: str, rate_hz: int) -> None:
        """`mode` is the pool of pictures, `rate_hz` the simulator's."""
        super().__init__()
        self._folder, self._scenario, self._mode, self._rate_hz = folder, task.scenario, mode, rate_hz
        logs = (_LOG.fullmatch(posixpath.basename(path)) for path in self._files("logs"))
        self._last = max((int(found[1]) for found in logs if found), default=0)
        self._pictures: dict[tuple[int, str], str] = {}
        self._counts: dict[int, int] = {}
        for path in self._files("images"):
            if found := _IMAGE.fullmatch(posixpath.basename(path)):
                item = int(found[1])
                self._pictures[item, hashlib.sha256(storage.read_bytes(path)).hexdigest()] = posixpath.basename(path)
                self._counts[item] = max(self._counts.get(item, 0), int(found[3]) + 1)

    def write(self, episode: Episode) -> None:
        self._last += 1
        log = [self._turn(self._last, k, turn) for k, turn in enumerate(episode.turns, start=1)]
        text = json.dumps(log, indent=2, ensure_ascii=False) + "\n"
        keep(storage.join(self._folder, "logs", self._mode, f"{self._last}_log.json"), text.encode())

    def _turn(self, d: int, k: int, turn: RecordedTurn) -> dict[str, Any]:
        step = turn.step
        assert step.previous is not None
        before = self._state(d, f"{k}_current-env", step.previous, turn.met["offered"])
        after = self._state(d, f"{k}_next-env", step.next, step.info["offered"])
        said = step.action
        return {
            "environment_state": before,
            "action_waveform_path": self._sound(d, f"{k}_action-waveform", said) if isinstance(said, np.ndarray) else None,
            "action_text": said if isinstance(said, str) else None,
            "next_environment_state": after,
            "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated,
            "words": {key: step.info[key] for key in _WORDS},
        }

    def _state(self, d: int, name: str, state: EnvironmentState, offered: Sequence[str]) -> dict[str, Any]:
        scene, feedback, internal = state.dialogue_scene, state.dialogue_feedback, state.internal_state
        told = None
        if feedback is not None:
            given = feedback.selected_item
            item = self._scenario.items[given.id] if given else None
            told = {
                "selected_item_image_path": self._picture(item, given.image) if item and given and given.image is not None else None,
                "selected_item_id": given.id if given else None,
                "response_waveform_path": self._sound(d, f"{name}_response-waveform", feedback.response_waveform),
            }
        return {
            "dialogue_scene": {
                "scene_id": scene.scene_id,
                "prompt_waveform_path": self._sound(d, f"{name}_prompt-waveform", scene.prompt_waveform),
                "image_paths": [self._picture(self._by_name(item), image) for item, image in zip(offered, scene.images, strict=True)],
            },
            "dialogue_feedback": told,
            "internal_state": [str(value) for value in internal.reshape(-1)],
            "internal_state_type": str(internal.dtype),
            "internal_state_shape": list(internal.shape),
        }

    def _by_name(self, name: str) -> Item:
        return next(item for item in self._scenario.items.values() if item.name == name)

    def _picture(self, item: Item, picture: np.ndarray) -> str:
        data = encode_picture(picture)
        key = item.id, hashlib.sha256(data).hexdigest()
        if key not in self._pictures:
            count = self._counts.get(item.id, 0)
            self._counts[item.id] = count + 1
            name = f"{item.id}_{item.name.replace('/', '-')}_{count}.png"
            keep(storage.join(self._folder, "images", self._mode, name), data)
            self._pictures[key] = name
        return f"images/{self._mode}/{self._pictures[key]}"

    def _sound(self, d: int, name: str, samples: np.ndarray) -> str:
        path = f"audio/{self._mode}/{d}/{name}.wav"
        keep(storage.join(self._folder, path), encode_speech(samples, self._rate_hz))
        return path

    def _files(self, kind: str) -> list[str]:
        place = storage.join(self._folder, kind, self._mode)
        return storage.list_files(place) if storage.is_folder(place) else []


def load_log(path: str | Path, scenario: Scenario, *, root: str | None = None) -> list[LoggedTurn]:
    """The turns of a dialogue as the task's functions were given them.

    Paths in the log are looked for below `root`, the folder that holds `logs/` unless given; absolute ones as they are. An item that was
    handed over has the very array that its offer shows. Raises RecordingError that names the file and what is wrong with it.
    """
    place = str(path)
    base = root or posixpath.dirname(posixpath.dirname(posixpath.dirname(storage.resolve(place)[1] if "://" not in place else place)))
    try:
        log = storage.read_json(place)
        turns = [_turn(base, turn, scenario) for turn in log]
    except OSError as error:
        raise RecordingError(f"{place} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{place}: wanted a published log, a list of turns: {type(error).__name__}: {error}") from error
    return turns


def _turn(root: str, turn: Mapping[str, Any], scenario: Scenario) -> LoggedTurn:
    before = _state(root, turn["environment_state"], scenario, [])
    after = _state(root, turn["next_environment_state"], scenario, _named(turn["environment_state"], before))
    said = turn.get("action_waveform_path")
    action = turn.get("action_text") if said is None else read_speech(storage.join(root, said))
    return LoggedTurn(before, action, after, float(turn["reward"]))


def _named(logged: Mapping[str, Any], state: EnvironmentState) -> list[tuple[str, np.ndarray]]:
    return list(zip(logged["dialogue_scene"]["image_paths"], state.dialogue_scene.images, strict=True))


def _state(root: str, logged: Mapping[str, Any], scenario: Scenario, shown: list[tuple[str, np.ndarray]]) -> EnvironmentState:
    """`shown` are the pictures of the state before, which an item may have been handed over from."""
    scene = logged["dialogue_scene"]
    images = [read_picture(storage.join(root, path)) for path in scene["image_paths"]]
    told = logged["dialogue_feedback"]
    feedback = None
    if told is not None:
        given = _item(root, told, scenario, shown)
        feedback = DialogueFeedback(given, read_speech(storage.join(root, told["response_waveform_path"])))
    internal = np.array([float(value) for value in logged["internal_state"]]).astype(logged.get("internal_state_type", "float32"))
    internal = internal.reshape(logged.get("internal_state_shape", internal.shape))
    waveform = read_speech(storage.join(root, scene["prompt_waveform_path"]))
    return EnvironmentState(DialogueScene(scene["scene_id"], waveform, images), feedback, internal)


def _item(root: str, told: Mapping[str, Any], scenario: Scenario, shown: list[tuple[str, np.ndarray]]) -> FeedbackItem | None:
    path, number = told["selected_item_image_path"], told.get("selected_item_id")
    if path is None and number is None:
        return None
    if number is None:  # by the number that the file's name begins with: looking for the item's name in it takes an eggplant for an egg
        found = _IMAGE.fullmatch(posixpath.basename(path))
        if not found:
            raise ValueError(f"selected_item_image_path {path!r} is not <id>_<name>_<number>.png")
        number = int(found[1])
    if number not in scenario.items:
        raise ValueError(f"the item {number} was handed over, which the scenario does not have")
    image = None if path is None else dict(shown).get(path)
    if image is None and path is not None:
        image = read_picture(storage.join(root, path))
    return FeedbackItem(number, image, scenario.items[number].attributes)
