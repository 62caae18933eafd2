"""Prompt files are filled in byte for byte as published."""

from pathlib import Path

import pytest

from rapport.core.config import ConfigError
from rapport.simulator.prompt import find_prompt, load_template, render_prompt
from rapport.simulator.task import load_task
from tests.simulator.example_project import write_project
from tests.simulator.published import load_published


def test_the_example_prompt_is_byte_equal(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    task = load_task(project / "tasks" / "cafe")
    scene = task.scenario.scenes[0]
    template = load_template(find_prompt("cafe.txt", task.folder))
    assert render_prompt(template, task.scenario, scene, [task.scenario.items[3], task.scenario.items[1]]) == (
        "Play a barista and answer the guest in one short line.\n"
        "All scenes:\n"
        "- Scene ID: 0, Scene Name: Counter\n"
        "- Scene ID: 1, Scene Name: Exit\n"
        "On the tray right now:\n"
        "- green_tea\n"
        "- espresso\n"
        "Moves you may make:\n"
        "- Available scenes: Exit (ID: 1).\n"
        "House rules:\n"
        "Hand over an item only when the guest names exactly one offered item.\n"
        "Answer with JSON only:\n"
        '{"response_text": "what you say", "next_scene_id": <number or null>, "next_scene_reason": <text or null>, '
        '"item_name": <one tray item or null>}\n'
    )


def test_the_published_prompt_is_byte_equal(shared_data: Path) -> None:
    task = load_published(shared_data, "food_corner_task")
    scene = task.scenario.scenes[0]
    template = load_template(shared_data / "spolacq" / "env" / "prompts" / "food_task.txt")
    prompt = render_prompt(template, task.scenario, scene, [task.scenario.items[2], task.scenario.items[1]])
    assert prompt == (
        "You are a clerk at a food court. Generate a response based on the following guidelines to interact with the customer "
        "effectively.\n\nScene Information:\n"
        "- Scene ID: 0, Scene Name: Corner Selection\n- Scene ID: 1, Scene Name: Japanese Menu\n"
        "- Scene ID: 2, Scene Name: Western Menu\n- Scene ID: 3, Scene Name: Stop\n\n"
        "Available Items:\n- western food corner\n- japanese food corner\n"
        "Note: Only offer the listed items if the customer specifically and clearly chooses one, using correct grammar. Do not offer any "
        "other items, even if the customer requests something else or mentions the item indirectly.\n\n"
        "Scene Transitions:\n- Available scenes: Japanese Menu (ID: 1).\n- Available scenes: Western Menu (ID: 2).\n\n"
        f"Guidelines:\n{scene.guidelines}\n\n"
        "Response Format:\nYour response should follow this JSON format:\n"
        '{\n"response_text": "text of response", \n"next_scene_id": scene ID (or null if staying in the current scene),\n'
        '"next_scene_reason": "reason for transition (or null if staying in the current scene)", \n'
        '"item_name": "name of the food item offered (or null if no item is offered)"\n}'
    )


def test_nothing_on_offer_leaves_its_place_empty() -> None:
    task = load_task("cafe")
    assert render_prompt("[{available_items_text}]", task.scenario, task.scenario.scenes[1], []) == "[]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{guideline}", "{guideline}: no such place; did you mean 'guidelines'?"),
        ("{}", "no such place"),
        ("{guidelines.__class__}", "no such place"),
        ("{guidelines", "literal brace"),
        ("{guidelines:%}", "without a format"),
        ("{guidelines:{width}}", "without a format"),
        ('{"response_text": 1}', "literal brace"),
    ],
)
def test_a_place_that_no_turn_can_fill_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_template(tmp_path / "p.txt")
    assert message in str(caught.value)
    assert "p.txt" in str(caught.value)


def test_a_prompt_that_is_nowhere_names_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no prompt file caffe\.txt; did you mean 'cafe\.txt'\?"):
        find_prompt("caffe.txt", tmp_path / "tasks" / "x")
    assert find_prompt("cafe.txt").parent.name == "prompts"
