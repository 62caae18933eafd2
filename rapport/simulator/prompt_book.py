"""Rendered prompts, kept: a task has few scenes and offers, and every turn in one of them begins with the same words."""

from collections.abc import Sequence
from dataclasses import dataclass

from rapport.simulator.prompt import render_prompt
from rapport.simulator.scenario import Item, Scenario, Scene

_MOST_PAGES = 4096


@dataclass(frozen=True, slots=True)
class Page:
    """What a judge is told of a scene and an offer."""

    prompt: str
    offered: tuple[str, ...]
    moves: tuple[tuple[int, str], ...]


class PromptBook:
    """The prompts of a task under one template; sessions of one task share it."""

    def __init__(self, template: str, scenario: Scenario) -> None:
        self._template = template
        self._scenario = scenario
        self._pages: dict[tuple[int, ...], Page] = {}

    def page(self, scene: Scene, offer: Sequence[Item]) -> Page:
        """That of a scene and an offer in its order."""
        key = (scene.id, *(item.id for item in offer))
        page = self._pages.get(key)
        if page is None:
            if len(self._pages) >= _MOST_PAGES:
                self._pages.clear()
            moves = tuple((move.id, move.name) for move in self._scenario.moves(scene))
            prompt = render_prompt(self._template, self._scenario, scene, offer)
            page = self._pages[key] = Page(prompt, tuple(item.name for item in offer), moves)
        return page
