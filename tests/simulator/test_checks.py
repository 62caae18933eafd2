"""Warnings about scenarios, and their graphs."""

from pathlib import Path

from rapport.simulator.checks import check_scenario, closing_scenes
from rapport.simulator.graph import scenario_dot, scenario_mermaid
from rapport.simulator.patterns import Patterns
from rapport.simulator.scenario import Item, Scenario, Scene
from rapport.simulator.task import load_task
from tests.simulator.published import load_published


def _scene(id: int, items: tuple[int, ...], leads: tuple[int, ...], voice: str = "v", name: str = "Room", offer_size: int = 2) -> Scene:
    return Scene(id, name, "a clerk", voice, items, leads, "", offer_size)


def _scenario(*scenes: Scene, names: tuple[str, ...] = ("tea", "mocha")) -> Scenario:
    items = {i: Item(i, name, {}, "") for i, name in enumerate(names, 1)}
    return Scenario(scenes[0].id, items, {scene.id: scene for scene in scenes})


EXIT = _scene(9, (), (9,), name="Exit")


def test_a_sound_scenario_has_no_warnings() -> None:
    scenario = _scenario(_scene(0, (1, 2), (9,)), EXIT)
    assert check_scenario(scenario) == []
    assert closing_scenes(scenario) == {9}


def test_each_oddity_is_told() -> None:
    cases = [
        (_scenario(_scene(0, (1, 2), (0,))), "scene 0 (Room) is a dead end"),
        (_scenario(_scene(0, (1, 2), ())), "scene 0 (Room) is a dead end"),
        (_scenario(_scene(0, (1, 2), (9,)), EXIT, _scene(3, (1, 2), (9,))), "scene 3 (Room) cannot be reached"),
        (_scenario(_scene(0, (1, 2), (9,)), EXIT, names=("tea", "mocha", "cola")), "item 3 (cola) is never offered"),
        (_scenario(_scene(0, (1, 2), (9,)), EXIT, names=("hot_tea", "Hot tea")), "item 2 (Hot tea) is said like another item"),
        (_scenario(_scene(0, (1, 2), (9,), voice=""), EXIT), "scene 0 (Room) has no voice"),
        (_scenario(_scene(0, (1, 2), (9,), offer_size=1), EXIT), "scene 0 (Room) offers a single item"),
        (_scenario(_scene(0, (1, 2, 7), (9,)), EXIT), "lists the item 7, which does not exist"),
        (_scenario(_scene(0, (1, 2), (9, 8)), EXIT), "leads to the scene 8, which does not exist"),
    ]
    for scenario, warning in cases:
        assert any(warning in told for told in check_scenario(scenario)), warning


def test_patterns_for_what_is_no_item_are_told(shared_data: Path) -> None:
    task = load_published(shared_data, "food_task")
    assert task.patterns is not None
    assert len(check_scenario(task.scenario, task.patterns)) == 1
    assert "'grocery store', which is no item" in check_scenario(task.scenario, task.patterns)[0]
    assert check_scenario(task.scenario, Patterns("p", {}, {})) == []


def test_a_graph_has_every_scene_and_move() -> None:
    scenario = load_task("cafe_corner").scenario
    dot, mermaid = scenario_dot(scenario), scenario_mermaid(scenario)
    assert dot.count("->") == mermaid.count("-->") == sum(len(scenario.moves(scene)) for scene in scenario.scenes.values())
    for text in (dot, mermaid):
        assert all(scene.name in text for scene in scenario.scenes.values())
        assert all(item.spoken in text for item in scenario.items.values())
    assert 's3 [peripheries=2, label="3 Exit"];' in dot
    assert 's3[["3 Exit"]]' in mermaid


def test_names_cannot_break_out_of_their_boxes() -> None:
    scenario = _scenario(_scene(-1, (1, 2), (9, 8), name='A "B"\\ <b>#1\n'), EXIT)
    assert r'label="-1 A \"B\"\\ <b>#1 \ntea' in scenario_dot(scenario)
    assert "sm1 -> s9;" in scenario_dot(scenario)
    assert 'sm1("-1 A #quot;B#quot;\\ #lt;b#gt;#35;1 <br/>tea' in scenario_mermaid(scenario)
