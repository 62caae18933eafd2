"""Scenario files: what they say is kept, and what they say wrongly is refused by file and key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.core.config import ConfigError
from rapport.simulator.scenario import ScenarioError, load_scenario

ITEMS: list[dict[str, Any]] = [{"id": 1, "name": "green_tea"}, {"id": 2, "name": "Mocha"}]
SCENES: list[dict[str, Any]] = [
    {"id": 0, "name": "Counter", "items": [1, 2], "possible_next_scenes": [1]},
    {"id": 1, "name": "Exit", "possible_next_scenes": [1]},
]


def _write(folder: Path, **changes: Any) -> Path:
    path = folder / "shop.json"
    path.write_text(json.dumps({"initial_scene_id": 0, "items": ITEMS, "scenes": SCENES, **changes}))
    return path


def test_what_a_file_leaves_out_has_the_published_defaults(tmp_path: Path) -> None:
    scenario = load_scenario(_write(tmp_path))
    scene = scenario.scenes[1]
    assert (scene.role_description, scene.voice, scene.items, scene.guidelines, scene.offer_size) == ("a clerk", "", (), "", 2)
    assert scenario.items[1].prompt == "A green_tea on a white background, uncooked, realistic."
    assert scenario.items[1].attributes == {}
    assert scenario.items[1].spoken == "green tea"
    assert [item.spoken for item in scenario.offered(scenario.scenes[0])] == ["green tea", "mocha"]
    assert [scene.name for scene in scenario.moves(scenario.scenes[0])] == ["Exit"]


def test_a_prompt_goes_by_either_name(tmp_path: Path) -> None:
    named = [{"id": 1, "name": "a", "prompts": "guide"}, {"id": 2, "name": "b", "prompts": "guide", "prompt": "source"}]
    scenario = load_scenario(_write(tmp_path, items=named))
    assert [item.prompt for item in scenario.items.values()] == ["guide", "source"]


@pytest.mark.parametrize("value", [3, 0.25, True, "12", "0.5", ".5", "5."])
def test_numbers_become_float32(tmp_path: Path, value: Any) -> None:
    scenario = load_scenario(_write(tmp_path, items=[{"id": 1, "name": "a", "attributes": {"x": value}}, ITEMS[1]]))
    x = scenario.items[1].attributes["x"]
    assert isinstance(x, np.float32)
    assert x == np.float32(float(value))


@pytest.mark.parametrize("value", ["-1", "1.2.3", "corner", "", ".", "1e3", "²", None, [1]])
def test_everything_else_stays_as_it_is(tmp_path: Path, value: Any) -> None:
    scenario = load_scenario(_write(tmp_path, items=[{"id": 1, "name": "a", "attributes": {"x": value}}, ITEMS[1]]))
    assert scenario.items[1].attributes["x"] == value
    assert not isinstance(scenario.items[1].attributes["x"], np.float32)


def test_yaml_and_json_with_tabs_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("items:\n- {id: 1, name: tea}\nscenes:\n- {id: 0, name: Counter, items: [1]}\n")
    assert load_scenario(path).items[1].name == "tea"
    path.write_text('{\n\t"scenes": [{"id": 0, "name": "Counter"}]}')
    assert load_scenario(path).scenes[0].name == "Counter"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"initial_scene_id": 9}, "initial_scene_id: no scene has the id 9"),
    ({"item": []}, "item: no such setting; did you mean items?"),
    ({"items": [{"id": 1, "nmae": "tea"}, ITEMS[1]]}, "items.0.nmae: no such setting; did you mean items.name?"),
    ({"items": [{"id": "1", "name": "tea"}, ITEMS[1]]}, "items.0.id"),
    ({"items": [{"id": 1}, ITEMS[1]]}, "items.0.name: Field required"),
    ({"items": [*ITEMS, {"id": 2, "name": "cola"}]}, "items.2.id: 2 is given twice"),
    ({"scenes": [*SCENES, {"id": 1, "name": "Again"}]}, "scenes.2.id: 1 is given twice"),
    ({"scenes": [{**SCENES[0], "items": [1, 7]}, SCENES[1]]}, "scenes.0.items.1 (of scene 'Counter'): no item has the id 7"),
    ({"scenes": [{**SCENES[0], "items": [1, 1]}, SCENES[1]]}, "scenes.0.items.1 (of scene 'Counter'): 1 is given twice"),
    ({"scenes": [{**SCENES[0], "possible_next_scenes": [1, 4]}, SCENES[1]]}, "no scene has the id 4; scenes are 0, 1"),
    ({"scenes": [*SCENES, {"id": 5, "name": "Attic"}]}, "scene 5 ('Attic') cannot be reached"),
    ({"scenes": [{**SCENES[0], "offer_size": 0}, SCENES[1]]}, "scenes.0.offer_size"),
    ({"scenes": []}, "scenes"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_a_wrong_scenario_is_refused_by_file_and_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = _write(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_all_wrong_ids_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(_write(tmp_path, scenes=[{**SCENES[0], "items": [7, 8], "possible_next_scenes": [9]}]))
    assert all(f"the id {i}" in str(caught.value) for i in (7, 8, 9))


def test_lenient_loading_lets_pass_what_the_published_simulator_does(tmp_path: Path) -> None:
    scenes = [{**SCENES[0], "items": [1, 7], "possible_next_scenes": [4, 1], "mood": "gay"}, SCENES[1], {"id": 5, "name": "Attic"}]
    scenario = load_scenario(_write(tmp_path, scenes=scenes, items=[{**ITEMS[0], "colour": "green"}]), strict=False)
    assert [scene.id for scene in scenario.moves(scenario.scenes[0])] == [1]
    assert 5 in scenario.scenes
    assert scenario.reachable() == {0, 1}
    with pytest.raises(ScenarioError, match=r"item ids \[7\]"):
        scenario.offered(scenario.scenes[0])
    with pytest.raises(ValueError, match="initial_scene_id"):
        load_scenario(_write(tmp_path, initial_scene_id=9), strict=False)


def test_a_key_given_twice_is_refused_in_both_languages(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    path.write_text('{"scenes": [{"id": 0, "name": "Counter", "name": "Exit"}]}')
    with pytest.raises(ConfigError, match="'name' is given twice"):
        load_scenario(path)
    assert load_scenario(path, strict=False).scenes[0].name == "Exit"
    path.write_text("scenes:\n- {id: 0, name: Counter, name: Exit}\n")
    with pytest.raises(ConfigError, match="'name' is given twice"):
        load_scenario(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "a: b: c", "\x00", '{"scenes": 3}', "scenes: 2026-99-99"])
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shop.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"shop\.json"):
        load_scenario(path)


def test_a_missing_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
        load_scenario(tmp_path / "none.json")
