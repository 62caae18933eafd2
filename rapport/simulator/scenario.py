"""Scenario files: what a counterpart may hand over, and the scenes that a dialogue moves through.

    scenario = load_scenario("tasks/cafe/cafe.json")
    counter = scenario.scenes[scenario.initial_scene_id]
    scenario.offered(counter)     # the items an offer is drawn from
    scenario.moves(counter)       # the scenes that may follow

A scenario is a finite automaton. Whether a scene ends an episode is not told here but by the task's functions; by custom it has no items
and leads only to itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, PositiveInt, StrictInt

from rapport.core.config import Config, ConfigError
from rapport.simulator.documents import read_file

PICTURE_PROMPT = "A {name} on a white background, uncooked, realistic."
"""What an item's picture is drawn from when its file has no prompt; the name keeps its underscores."""


class ScenarioError(ConfigError, ValueError):
    """A scenario whose ids do not fit together."""


@dataclass(frozen=True)
class Item:
    """Something that can be handed over."""

    id: int
    name: str
    """As written, underscores included."""
    attributes: Mapping[str, Any]
    """Numbers are float32, also those written as text."""
    prompt: str
    """What its pictures are drawn from."""

    @property
    def spoken(self) -> str:
        """The name as it is said: lower-case, with spaces. Two names that are spoken alike are one name to a judge."""
        return spoken(self.name)


@dataclass(frozen=True)
class Scene:
    """A state of the automaton: who speaks there, what is offered and where it can lead."""

    id: int
    name: str
    role_description: str
    voice: str
    """Of the counterpart: the name that a synthesiser knows it by, such as `af_heart`."""
    items: tuple[int, ...]
    next_scenes: tuple[int, ...]
    """As written; of a scenario that was loaded with `strict=False` some may not exist."""
    guidelines: str
    """The house rules, in words for the judge."""
    offer_size: int
    """How many of its items are shown at a time."""


@dataclass(frozen=True)
class Scenario:
    """Items and scenes by id, in the order of the file."""

    initial_scene_id: int
    items: Mapping[int, Item]
    scenes: Mapping[int, Scene]

    def offered(self, scene: Scene) -> tuple[Item, ...]:
        """The items that an offer of a scene is drawn from. Raises ScenarioError for an id that no item has."""
        unknown = [i for i in scene.items if i not in self.items]
        if unknown:
            raise ScenarioError(f"scene {scene.id} ({scene.name}) lists the item ids {unknown}, which no item has: mend its `items`")
        return tuple(self.items[i] for i in scene.items)

    def moves(self, scene: Scene) -> tuple[Scene, ...]:
        """The scenes that may follow a scene, in the order of its file; ids that no scene has are left out."""
        return tuple(self.scenes[i] for i in scene.next_scenes if i in self.scenes)

    def reachable(self) -> frozenset[int]:
        """Ids of the scenes that the initial scene can lead to, itself included."""
        found: set[int] = set()
        open_ids = [self.initial_scene_id]
        while open_ids:
            scene_id = open_ids.pop()
            if scene_id not in found:
                found.add(scene_id)
                open_ids += [scene.id for scene in self.moves(self.scenes[scene_id])]
        return frozenset(found)


class ItemFile(Config):
    """One of a scenario file's `items`."""

    id: StrictInt
    """What scenes call it by."""
    name: str = Field(min_length=1)
    """What it is called aloud; an underscore is said as a space."""
    attributes: dict[str, Any] = Field(default_factory=dict)
    """What the task's functions know of it."""
    prompt: str | None = None
    """What its pictures are drawn from."""
    prompts: str | None = None
    """The same under the name that older guides give; `prompt` wins."""


class SceneFile(Config):
    """One of a scenario file's `scenes`."""

    id: StrictInt
    """What `possible_next_scenes` and the judge call it by."""
    name: str
    """What the judge is told of it."""
    role_description: str = "a clerk"
    """Whom the counterpart plays."""
    speaker_description: str = ""
    """The counterpart's voice."""
    items: tuple[StrictInt, ...] = ()
    """Ids of what can be offered here."""
    possible_next_scenes: tuple[StrictInt, ...] = ()
    """Ids of the scenes that may follow."""
    system_guidelines: str = ""
    """The house rules, in words for the judge."""
    offer_size: PositiveInt = 2
    """How many items are shown at a time."""


class ScenarioFile(Config):
    """A scenario file."""

    initial_scene_id: StrictInt = 0
    """Where every episode begins."""
    items: tuple[ItemFile, ...] = ()
    """What can be handed over."""
    scenes: tuple[SceneFile, ...] = Field(min_length=1)
    """What a dialogue moves through."""


def load_scenario(path: str | Path, *, strict: bool = True) -> Scenario:
    """The scenario of a JSON or YAML file.

    Raises ConfigError that names the file and the key: for a key or type that the format does not have, an id that is given twice or
    belongs to nothing, a scene that cannot be reached. With `strict=False` unknown keys and ids and scenes out of reach are let pass, as
    the published simulator does; only what no dialogue could be held with is refused.
    """
    file = read_file(ScenarioFile, path, "a scenario's items and scenes", strict=strict)
    scenario = Scenario(
        file.initial_scene_id, {item.id: _item(item) for item in file.items}, {scene.id: _scene(scene) for scene in file.scenes}
    )
    problems = list(_without_start(scenario))
    if strict:
        problems += _wrong_ids(file)
        if not problems:
            problems += _out_of_reach(file, scenario)
    if problems:
        raise ScenarioError(f"{path}:\n" + "\n".join(f"  {problem}" for problem in problems))
    return scenario


def spoken(name: str) -> str:
    """A name as it is said: lower-case, with spaces for underscores."""
    return name.replace("_", " ").lower()


def _item(file: ItemFile) -> Item:
    attributes = {key: _number_or_same(value) for key, value in file.attributes.items()}
    prompt = next((p for p in (file.prompt, file.prompts) if p is not None), PICTURE_PROMPT.replace("{name}", file.name))
    return Item(file.id, file.name, attributes, prompt)


def _number_or_same(value: Any) -> Any:
    """Numbers, booleans and words of digits with at most one dot as float32, all else (also "-1") as it is: the published rule."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value.replace(".", "", 1).isdecimal()):
        return np.float32(value)
    return value


def _scene(file: SceneFile) -> Scene:
    return Scene(
        id=file.id,
        name=file.name,
        role_description=file.role_description,
        voice=file.speaker_description,
        items=file.items,
        next_scenes=file.possible_next_scenes,
        guidelines=file.system_guidelines,
        offer_size=file.offer_size,
    )


def _without_start(scenario: Scenario) -> Iterator[str]:
    if scenario.initial_scene_id not in scenario.scenes:
        yield f"initial_scene_id: no scene has the id {scenario.initial_scene_id}; scenes are {_ids(scenario.scenes)}"


def _wrong_ids(file: ScenarioFile) -> Iterator[str]:
    known_items = [item.id for item in file.items]
    known_scenes = [scene.id for scene in file.scenes]
    for key, ids in (("items", known_items), ("scenes", known_scenes)):
        yield from (f"{key}.{i}.id: {id_} is given twice" for i, id_ in enumerate(ids) if id_ in ids[:i])
    for s, scene in enumerate(file.scenes):
        for key, kind, named, known in (
            ("items", "item", scene.items, known_items),
            ("possible_next_scenes", "scene", scene.possible_next_scenes, known_scenes),
        ):
            for i, id_ in enumerate(named):
                where = f"scenes.{s}.{key}.{i} (of scene {scene.name!r})"
                if id_ not in known:
                    yield f"{where}: no {kind} has the id {id_}; {kind}s are {_ids(known)}"
                elif id_ in named[:i]:
                    yield f"{where}: {id_} is given twice"


def _out_of_reach(file: ScenarioFile, scenario: Scenario) -> Iterator[str]:
    reachable = scenario.reachable()
    for s, scene in enumerate(file.scenes):
        if scene.id not in reachable:
            yield (
                f"scenes.{s}.id: scene {scene.id} ({scene.name!r}) cannot be reached from the initial scene "
                f"{scenario.initial_scene_id}: name it in the possible_next_scenes of one that can, or leave it out"
            )


def _ids(known: Mapping[int, Any] | list[int]) -> str:
    return ", ".join(str(i) for i in known) or "none"
