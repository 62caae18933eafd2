"""A task of three items, and services that fail on purpose: modules of their own, so that other processes find them."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_data.prepare import OpenService, open_services
from rapport.simulator.requests import Failure, PictureRequest, Result, SpeechRequest
from rapport.simulator.task import Task, load_task
from rapport.simulator.task_functions import TaskFunctions

SCENARIO = {
    "items": [{"id": 3, "name": "apple"}, {"id": 1, "name": "green_pepper"}, {"id": 7, "name": "lemon"}],
    "scenes": [{"id": 0, "name": "Shop", "speaker_description": "af_heart", "items": [1, 3, 7], "possible_next_scenes": [0]}],
}
PATTERNS = {"scene": {}, "else": ["{name}", "give me {name}"]}


def make_task(folder: Path, *, patterns: bool = True) -> Task:
    """The task, written below `folder`."""
    home = folder / "shop"
    home.mkdir(parents=True, exist_ok=True)
    (home / "task_config.json").write_text(json.dumps({"task_config_name": "shop.json", "max_step": 1}))
    (home / "shop.json").write_text(json.dumps(SCENARIO))
    if patterns:
        (home / "utterance_patterns.json").write_text(json.dumps(PATTERNS))
    return load_task(home, functions=TaskFunctions())


def real_services(task: Task) -> OpenService:
    """Drawn pictures and espeak."""
    return open_services(ServicesConfig(), task.folder)


class LevelUnits:
    """Units that tell how loud each 20 ms of speech are."""

    identity = "levels 1"

    def hear(self, clips: Sequence[np.ndarray], rate_hz: int = 16_000) -> list[np.ndarray]:
        """Units [U] of each clip [S]."""
        frame = rate_hz // 50
        frames = [clip[: len(clip) // frame * frame].reshape(-1, frame) for clip in clips]
        return [np.minimum(np.abs(rows).mean(axis=1) * 100, 30).astype(np.int32) for rows in frames]


class Blacking:
    """Pictures of which one in four, and all of some items, are black."""

    version = "blacking 1"
    deterministic = True

    def __init__(self, always: Sequence[str] = (), *, fail: bool = False) -> None:
        self.always, self.fail, self.asked = set(always), fail, 0

    def batch(self, requests: Sequence[PictureRequest]) -> list[Result]:
        """Flat pictures, uint8 [H, W, 3]."""
        self.asked += len(requests)
        return [self._draw(request) for request in requests]

    def _draw(self, request: PictureRequest) -> Result:
        black = request.name in self.always or request.seed % 4 == 0
        if black and self.fail:
            return Failure("pictures", "out of paint")
        return np.full((request.height, request.width, 3), 0 if black else 1 + request.seed % 250, np.uint8)


class Lines:
    """Speech of which some lines cannot be had; `refused` tells what is given for a line."""

    version = "lines 1"
    deterministic = True

    def __init__(self, refused: dict[str, Result] | None = None) -> None:
        self.refused = refused or {}

    def batch(self, requests: Sequence[SpeechRequest]) -> list[Result]:
        """A tone for each line, float32 [S]."""
        time_s = np.arange(4_000) / 22_050
        tone = (0.5 * np.sin(2 * np.pi * 300 * time_s)).astype(np.float32)
        return [self.refused.get(request.text, tone) for request in requests]


class Slowly:
    """Another service, slowly enough to be killed."""

    def __init__(self, service: Blacking | Lines) -> None:
        self.service, self.version, self.deterministic = service, service.version, True

    def batch(self, requests: Sequence[PictureRequest] | Sequence[SpeechRequest]) -> list[Result]:
        """What the other service gives, after a while."""
        time.sleep(0.2)
        return self.service.batch(requests)  # type: ignore[arg-type]


def fakes(pictures: object = None, voice: object = None) -> OpenService:
    """Services of these objects."""
    found = {"pictures": pictures or Blacking(), "voice": voice or Lines()}
    return lambda kind: found[kind]  # type: ignore[return-value]
