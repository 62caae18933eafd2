"""What is odd about a scenario without being wrong: warnings for whoever writes a task."""

from collections import Counter
from collections.abc import Iterator

from rapport.simulator.patterns import Patterns
from rapport.simulator.scenario import Scenario, Scene


def check_scenario(scenario: Scenario, patterns: Patterns | None = None) -> list[str]:
    """A sentence for each oddity, in the order of the file; empty for a scenario without any.

    Scenes that no dialogue reaches or leaves, ids of nothing, items that are never offered or are named alike, scenes whose counterpart
    has no voice, scenes that offer one item only, and patterns for what is no item.
    """
    reachable = scenario.reachable()
    warnings = [warning for scene in scenario.scenes.values() for warning in _of_scene(scenario, scene, reachable)]
    warnings += _of_items(scenario, reachable)
    if patterns is not None:
        known = {item.spoken for item in scenario.items.values()}
        warnings += [
            f"{patterns.source} tells how to ask for {name!r}, which is no item" for name in patterns.group_of if name not in known
        ]
    return warnings


def closing_scenes(scenario: Scenario) -> frozenset[int]:
    """Ids of the scenes in which nothing is offered and which lead nowhere else: where, by custom, a dialogue is over."""
    return frozenset(s.id for s in scenario.scenes.values() if not s.items and all(m.id == s.id for m in scenario.moves(s)))


def _of_scene(scenario: Scenario, scene: Scene, reachable: frozenset[int]) -> Iterator[str]:
    title = f"scene {scene.id} ({scene.name})"
    if scene.id not in reachable:
        yield f"{title} cannot be reached from the initial scene {scenario.initial_scene_id}"
    elif not _can_close(scenario, scene):
        yield f"{title} is a dead end: it offers items or leads on, but no scene without items can be reached from it"
    yield from (f"{title} lists the item {i}, which does not exist" for i in scene.items if i not in scenario.items)
    yield from (f"{title} leads to the scene {i}, which does not exist" for i in scene.next_scenes if i not in scenario.scenes)
    if not scene.voice:
        yield f"{title} has no voice: `speaker_description` is empty, which no synthesiser can speak with"
    if min(len(scene.items), scene.offer_size) == 1:
        yield f"{title} offers a single item: a task that observes a left and a right picture finds one"


def _can_close(scenario: Scenario, scene: Scene) -> bool:
    return bool(Scenario(scene.id, scenario.items, scenario.scenes).reachable() & closing_scenes(scenario))


def _of_items(scenario: Scenario, reachable: frozenset[int]) -> Iterator[str]:
    offered = {i for scene_id in reachable for i in scenario.scenes[scene_id].items}
    alike = Counter(item.spoken for item in scenario.items.values())
    for item in scenario.items.values():
        if item.id not in offered:
            yield f"item {item.id} ({item.name}) is never offered"
        if alike[item.spoken] > 1:
            yield f"item {item.id} ({item.name}) is said like another item: a judge cannot tell them apart"
