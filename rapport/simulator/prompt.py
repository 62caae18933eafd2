"""Prompt files: what a judge is told of its role, the offer and the moves, filled in for one turn.

A prompt file is a Python format string (literal braces are doubled) with the places of `PLACES`. Equal scenario, scene and offer give
equal bytes, so that a reply can be kept under its prompt.
"""

from collections.abc import Sequence
from pathlib import Path
from string import Formatter

from rapport.core.config import ConfigError
from rapport.simulator.documents import MissingFile, nearest, read_text
from rapport.simulator.scenario import Item, Scenario, Scene
from rapport.simulator.shipped import TASKS

PLACES = ("role_description", "guidelines", "scene_information", "available_items_text", "transitions")


def find_prompt(chosen: str | Path, task_folder: str | Path | None = None) -> Path:
    """The file that a prompt's name means: a path, the published `env/prompts/` beside the task's project, or a shipped prompt.

    Raises MissingFile that tells where it was looked for.
    """
    places = [Path(chosen).expanduser()]
    if task_folder is not None:
        places.append(Path(task_folder).absolute().parent.parent / "env" / "prompts" / chosen)
    places.append(TASKS / "prompts" / chosen)
    for place in places:
        if place.is_file():
            return place
    shipped = sorted(p.name for p in (TASKS / "prompts").glob("*.txt"))
    raise MissingFile(
        f"no prompt file {chosen}{nearest(str(chosen), shipped)}; "
        f"looked for {', '.join(str(p) for p in places)}; shipped are {', '.join(shipped)}"
    )


def load_template(path: str | Path) -> str:
    """The text of a prompt file. Raises ConfigError for a place that no turn can fill."""
    template = read_text(path, "the judge's prompt (`llm_prompt_name`)")
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; write a literal brace twice") from error
    for field in fields:
        if field not in PLACES:
            raise ConfigError(
                f"{path}: {{{field}}}: no such place{nearest(field, list(PLACES))} "
                f"There are {', '.join(PLACES)}; write a literal brace twice"
            )
    try:
        template.format(**dict.fromkeys(PLACES, ""))
    except (ValueError, KeyError, IndexError) as error:
        raise ConfigError(f"{path}: {error}: wanted places without a format of their own, as in {{guidelines}}") from error
    return template


def render_prompt(template: str, scenario: Scenario, scene: Scene, offered: Sequence[Item]) -> str:
    """The prompt of one turn, byte for byte as the published simulator renders it.

    Every scene of the task is listed, but of its items only those on offer, and of its moves only those of this scene.
    """
    return template.format(
        role_description=scene.role_description,
        guidelines=scene.guidelines,
        scene_information="\n".join(f"- Scene ID: {s.id}, Scene Name: {s.name}" for s in scenario.scenes.values()),
        available_items_text="\n".join(f"- {item.name}" for item in offered),
        transitions="\n".join(f"- Available scenes: {s.name} (ID: {s.id})." for s in scenario.moves(scene)),
    )
