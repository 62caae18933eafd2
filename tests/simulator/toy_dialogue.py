"""Dialogues for tests: real services of the fast kind that count what they are asked, a scripted judge, a tiny scenario, a plain body."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rapport.models.backends.tts.tone import encode
from rapport.models.spolacq.services import load_services
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.simulator.prompt import find_prompt, load_template
from rapport.simulator.requests import KINDS, PictureRequest, Request, Result, Services
from rapport.simulator.scenario import Item, Scenario, Scene
from rapport.simulator.task import Task
from rapport.simulator.task_functions import TaskFunctions

RATE_HZ = 22_050
TEMPLATE = load_template(find_prompt("cafe.txt"))


class Counted:
    """A service that remembers every batch it is asked for, and can be made to fail."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.batches: list[list[Request]] = []
        self.fail: Callable[[Sequence[Request]], None] = lambda requests: None
        self.version, self.deterministic = "counted", True

    def batch(self, requests: Sequence[Request]) -> list[Result]:
        self.batches.append(list(requests))
        self.fail(requests)
        return list(self.service.batch(requests))

    @property
    def asked(self) -> list[Request]:
        return [request for batch in self.batches for request in batch]


class Answers:
    """A service that answers by a function."""

    version, deterministic = "answers", True

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer

    def batch(self, requests: Sequence[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]


def toy_services(task: Task, *, otherwise: Any = "leave", **given: Any) -> Services:
    """The rule judge, the tone code and flat pictures, all counted; `judge=`, `ears=`, `voice=`, `pictures=` stand in for one."""
    config = ServicesConfig(ears="tone", voice="tone", pictures="flat", otherwise=otherwise, cache=CacheConfig(enabled=False))
    real = load_services(config, task)
    return Services(*(Counted(given.get(kind, getattr(real, kind))) for kind in ("judge", "ears", "voice", "pictures")))


def counted(services: Services, kind: str) -> Counted:
    service = getattr(services, kind)
    assert isinstance(service, Counted)
    return service


def counts(services: Services) -> dict[str, int]:
    """Requests so far of each kind."""
    return {kind: len(counted(services, kind).asked) for kind in KINDS.values()}


def speech(words: str) -> np.ndarray:
    """Words as the tone voice says them."""
    return encode(words, RATE_HZ)


def reply(text: str = "well", scene: Any = None, item: Any = None) -> str:
    """A judge's reply."""
    return json.dumps({"response_text": text, "next_scene_id": scene, "next_scene_reason": None, "item_name": item})


def toy_task(functions: TaskFunctions | None = None, *, max_step: int = 5, offer_size: int = 2, wrap: Any = None) -> Task:
    """A shop with six wares, which can be left for a street or a yard, neither with anything to have."""
    wares = ("pen", "cup", "Red_Hat", "map", "key", "bag")
    items = {i: Item(i, name, {"worth": np.float32(i)}, f"a {name}") for i, name in enumerate(wares)}
    scenes = {
        0: Scene(0, "Shop", "a clerk", "old", tuple(items), (0, 1, 2), "Sell.", offer_size),
        1: Scene(1, "Street", "a passer-by", "new", (), (1,), "Walk on.", offer_size),
        2: Scene(2, "Yard", "a gardener", "third", (), (2,), "Water.", offer_size),
    }
    return Task("toy", Path(), Scenario(0, items, scenes), max_step, functions or TOY_FUNCTIONS, None, wrap)


def _one_for_an_item(before: Any, waveform: np.ndarray, after: Any) -> float:
    return 0.0 if after.dialogue_feedback.selected_item is None else 1.0


TOY_FUNCTIONS = TaskFunctions(
    reward=_one_for_an_item,
    terminated=lambda before, after: after.dialogue_scene.scene_id == 1,
    truncated=lambda after: False,
    next_internal_state=lambda state, feedback: state + 1,
    observe=lambda state: {"needs": state.internal_state, "shown": np.int32(len(state.dialogue_scene.images))},
    first_internal_state=lambda: np.random.rand(2).astype(np.float32),
)


class ToyBody:
    """Eyes that see mean colours, and a mouth that says the word it knows for the nearest colour, in the tone code."""

    rate_hz = RATE_HZ
    feature_width, sentence_width = 3, 2

    def __init__(self, words: dict[str, np.ndarray]) -> None:
        """`words` are names and a picture of each."""
        self._names = list(words)
        self._colours = self.see(list(words.values()))
        self.seen = self.said = 0

    def see(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        self.seen = getattr(self, "seen", 0) + len(pictures)
        return np.stack([picture.mean((0, 1)) for picture in pictures]).astype(np.float32) / 255

    def say(self, features: np.ndarray, sentences: np.ndarray) -> list[np.ndarray]:
        self.said += len(features)
        nearest = np.square(self._colours[None] - features[:, None]).sum(2).argmin(1)
        return [speech(self._names[i].replace("_", " ")) for i in nearest]


def toy_body(task: Task, services: Services) -> ToyBody:
    """It knows the items of a task by their colours."""
    items = list(task.scenario.items.values())
    pictures: list[Any] = services.pictures.batch([PictureRequest(i.id, i.name, i.prompt, "train", 0, 0, 64, 64) for i in items])
    return ToyBody({item.name: picture for item, picture in zip(items, pictures, strict=True)})
