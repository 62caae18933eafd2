"""A scenario as a graph, in the two languages that pages and papers draw graphs from.

    Path("cafe.dot").write_text(scenario_dot(task.scenario))       # then: dot -Tsvg cafe.dot
    Path("cafe.mmd").write_text(scenario_mermaid(task.scenario))   # drawn by Markdown viewers

Boxes are scenes with what they offer; the initial scene is drawn heavier, closing scenes doubly.
"""

from rapport.simulator.checks import closing_scenes
from rapport.simulator.scenario import Scenario, Scene


def scenario_dot(scenario: Scenario) -> str:
    """The graph for Graphviz."""
    closing = closing_scenes(scenario)
    lines = ["digraph scenario {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for scene in scenario.scenes.values():
        marks = ["peripheries=2"] * (scene.id in closing) + ["penwidth=2"] * (scene.id == scenario.initial_scene_id)
        label = "\\n".join(_quoted(line) for line in _lines(scenario, scene))
        lines.append(f'  s{_node(scene)} [{", ".join([*marks, ""])}label="{label}"];')
    lines += [f"  s{_node(a)} -> s{_node(b)};" for a in scenario.scenes.values() for b in scenario.moves(a)]
    return "\n".join([*lines, "}", ""])


def scenario_mermaid(scenario: Scenario) -> str:
    """The graph for Mermaid."""
    closing = closing_scenes(scenario)
    lines = ["flowchart LR"]
    for scene in scenario.scenes.values():
        left, right = ("[[", "]]") if scene.id in closing else ("(", ")")
        label = "<br/>".join(_entities(line) for line in _lines(scenario, scene))
        lines.append(f'  s{_node(scene)}{left}"{label}"{right}')
    lines += [f"  s{_node(a)} --> s{_node(b)}" for a in scenario.scenes.values() for b in scenario.moves(a)]
    lines.append(f"  style s{_node(scenario.scenes[scenario.initial_scene_id])} stroke-width:3px")
    return "\n".join([*lines, ""])


def _lines(scenario: Scenario, scene: Scene) -> list[str]:
    """What stands in a scene's box; ids of nothing are left to `check_scenario`."""
    items = [scenario.items[i] for i in scene.items if i in scenario.items]
    return [f"{scene.id} {scene.name}", *(item.spoken for item in items)]


def _node(scene: Scene) -> str:
    return str(scene.id).replace("-", "m")  # neither language takes a minus sign in a node's name


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _entities(text: str) -> str:
    for sign, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(sign, name)
    return text.replace("\n", " ")
