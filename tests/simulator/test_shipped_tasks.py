"""Every shipped task: sound, sayable, and worth what its page says."""

from pathlib import Path

import numpy as np
import pytest

from rapport.simulator.checks import check_scenario
from rapport.simulator.prompt import find_prompt, load_template, render_prompt
from rapport.simulator.scenario import Item
from rapport.simulator.state import DialogueFeedback, DialogueScene, EnvironmentState, FeedbackItem
from rapport.simulator.task import Task, load_task, shipped_tasks

SILENCE = np.zeros(22_050, np.float32)


@pytest.fixture(params=shipped_tasks())
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


def test_nothing_is_odd_about_it(task: Task) -> None:
    assert check_scenario(task.scenario, task.patterns) == []


def test_every_word_of_it_is_in_the_dictionary_of_the_small_ears(task: Task) -> None:
    import pocketsphinx

    words = {line.split()[0] for line in Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")).read_text().splitlines() if line}
    assert task.patterns is not None
    said = {word for sentence in task.patterns.sentences(task.scenario.items.values()) for word in sentence.lower().split()}
    assert not said - words


def test_the_shipped_prompt_suits_it(task: Task) -> None:
    template = load_template(find_prompt("cafe.txt"))
    for scene in task.scenario.scenes.values():
        offered = task.scenario.offered(scene)[: scene.offer_size]
        prompt = render_prompt(template, task.scenario, scene, offered)
        assert scene.guidelines in prompt
        assert all(f"- {item.name}\n" in prompt for item in offered)


def test_observations_have_one_shape_whatever_the_pictures_are(task: Task) -> None:
    assert task.functions.observe
    state = np.zeros(2, np.float32)
    shapes = set()
    for images in ([], [np.zeros((512, 384, 3), np.uint8)], [np.zeros((32, 32, 3), np.uint8)] * 2):
        observation = task.functions.observe(EnvironmentState(DialogueScene(0, SILENCE, images), None, state))
        shapes.add(tuple((key, value.shape, str(value.dtype)) for key, value in observation.items()))
    assert len(shapes) == 1


def _worth(task: Task, state: np.ndarray, item: Item | None) -> float:
    """What an item is worth to a guest."""
    got = None if item is None else FeedbackItem(item.id, None, item.attributes)
    before = EnvironmentState(DialogueScene(0, SILENCE, []), None, state)
    after = EnvironmentState(DialogueScene(0, SILENCE, []), DialogueFeedback(got, SILENCE), state)
    assert task.functions.reward
    return task.functions.reward(before, SILENCE, after)


def _guests(task: Task, count: int = 4000) -> list[np.ndarray]:
    assert task.functions.first_internal_state
    np.random.seed(5)
    return [task.functions.first_internal_state() for _ in range(count)]


def _returns(task: Task, scene_id: int, guests: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What the first and the better of two offered items are worth to each guest."""
    rng = np.random.default_rng(3)
    items = task.scenario.offered(task.scenario.scenes[scene_id])
    pairs = [rng.choice(len(items), 2, replace=False) for _ in guests]
    worth = np.array([[_worth(task, guest, items[i]) for i in pair] for guest, pair in zip(guests, pairs, strict=True)])
    return worth[:, 0], worth.max(1)


def test_cafe_is_worth_what_its_page_says() -> None:
    task = load_task("cafe")
    guests = _guests(task)
    either, better = _returns(task, 0, guests)
    assert either.mean() == pytest.approx(0.558, abs=0.01)
    assert better.mean() == pytest.approx(0.705, abs=0.01)
    assert _worth(task, guests[0], None) == 0.0


def test_the_best_corner_that_never_looks_at_its_guest_is_clearly_worse() -> None:
    task = load_task("cafe_corner")
    guests = _guests(task)
    dishes = [_returns(task, scene, guests) for scene in (1, 2)]
    blind = max(better.mean() for _, better in dishes)
    assert blind == pytest.approx(0.685, abs=0.01)
    wants_sweet = np.array(guests)[:, 0] > 0.5
    assert np.where(wants_sweet, dishes[0][1], dishes[1][1]).mean() == pytest.approx(0.827, abs=0.01)
    assert np.where(wants_sweet, dishes[0][0], dishes[1][0]).mean() == pytest.approx(0.738, abs=0.01)
    assert _worth(task, guests[0], task.scenario.items[1]) == 0.0
