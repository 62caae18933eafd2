"""What naming an item is worth, by a task's own reward and its judge's own moves: the knowledge of an oracle.

    foresight = Foresight(task, judge, template)
    foresight.values(turn)            # the expected return of naming each item on offer

The turn at hand is judged with the pictures on show. Turns to come are averaged over the offers that may be drawn, each answered in one
manner; their pictures are not known yet and count as blank, so that a reward that looks at pictures is foreseen for one turn only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.prompt_book import PromptBook
from rapport.simulator.requests import Failure, JudgeRequest, Service
from rapport.simulator.scenario import Item, Scene, spoken
from rapport.simulator.seeding import kept_random, seeded
from rapport.simulator.state import DialogueFeedback, DialogueScene, EnvironmentState, FeedbackItem
from rapport.simulator.task import Task
from rapport.simulator.transition import Transition
from rapport.simulator.verdict import read_verdict

Manner = Literal["best", "random", "worst"]
"""How an item is chosen among those on offer, by value."""

_SILENCE = np.zeros(22_050, np.float32)
_SILENCE.setflags(write=False)
_BLANK = np.zeros((8, 8, 3), np.uint8)
_BLANK.setflags(write=False)
_MOST_OFFERS = 500
_AVERAGE_OF = 512
"""Beginnings of episodes that an average is taken over."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What an agent with full knowledge sees before it speaks."""

    state: EnvironmentState
    scene: Scene
    offer: tuple[Item, ...]
    """In the order of the pictures."""
    held: int
    """Turns held in this episode."""
    seed: str
    """Of the episode, as `info` tells it."""


def turn_of(task: Task, step: Transition) -> Turn:
    """The turn that follows a step or reset of an episode that is not over."""
    scene = task.scenario.scenes[step.next.dialogue_scene.scene_id]
    by_name = {item.name: item for item in task.scenario.offered(scene)}
    offer = tuple(by_name[name] for name in step.info["offered"])
    return Turn(step.next, scene, offer, int(step.info.get("talk_step", 0)), str(step.info["seed"]))


class Foresight:
    """Looks ahead in a task whose counterpart understands everything."""

    def __init__(self, task: Task, judge: Service[JudgeRequest], template: str, *, offer_size: int | None = None, horizon: int = 3) -> None:
        """`template` is the judge's prompt, `offer_size` the simulator's where it sets one, `horizon` how many turns are looked ahead."""
        self._task = task
        self._judge = judge
        self._prompts = PromptBook(template, task.scenario)
        self._offer_size = offer_size
        self._horizon = horizon
        self._answers: dict[tuple[int, int], tuple[bool, Scene]] = {}
        self._averages: dict[int, Mapping[int, float]] = {}

    def values(self, turn: Turn, later: Manner = "best") -> list[float]:
        """The expected return of naming each item on offer, when those of later turns are chosen in the given manner."""
        images = turn.state.dialogue_scene.images
        with kept_random():
            return [
                self._value(turn.state, turn.scene, item, image, turn.held, self._horizon, later)
                for item, image in zip(turn.offer, images, strict=True)
            ]

    def average_values(self) -> Mapping[int, float]:
        """By id, the expected return of naming each item of the initial scene first, over all that an agent may begin with in mind."""
        scene = self._task.scenario.scenes[self._task.scenario.initial_scene_id]
        if scene.id not in self._averages:
            first = self._task.functions.first_internal_state
            items = self._task.scenario.offered(scene)
            totals = np.zeros(len(items))
            with seeded(0):
                for _ in range(_AVERAGE_OF):
                    internal = np.random.rand(3).astype(np.float32) if first is None else np.asarray(first())
                    state = self._unseen(scene, None, internal)
                    totals += [self._value(state, scene, item, _BLANK, 0, self._horizon, "best") for item in items]
            self._averages[scene.id] = {item.id: float(total) / _AVERAGE_OF for item, total in zip(items, totals, strict=True)}
        return self._averages[scene.id]

    def _value(
        self, before: EnvironmentState, scene: Scene, item: Item, image: np.ndarray, held: int, horizon: int, later: Manner
    ) -> float:
        """The expected return of naming an item, from this turn on."""
        functions = self._task.functions
        given, following = self._answer(scene, item)
        feedback = DialogueFeedback(FeedbackItem(item.id, image, item.attributes) if given else None, _SILENCE)
        internal = before.internal_state
        if functions.next_internal_state is not None:
            internal = np.asarray(functions.next_internal_state(internal.copy(), feedback))
        after = self._unseen(following, feedback, internal)
        value = 0.0 if functions.reward is None else float(functions.reward(before, _SILENCE, after))
        over = (
            held + 1 >= self._task.max_step
            or (functions.terminated is not None and functions.terminated(before, after))
            or (functions.truncated is not None and functions.truncated(after))
        )
        if over or horizon <= 1:
            return value
        items = self._task.scenario.offered(following)
        if not items:
            return value
        values = [self._value(after, following, one, _BLANK, held + 1, horizon - 1, later) for one in items]
        return value + self._over_offers(values, self._size(following), later)

    def _answer(self, scene: Scene, item: Item) -> tuple[bool, Scene]:
        """Whether the judge hands over an item that is named clearly, and where it goes on."""
        key = (scene.id, item.id)
        if key not in self._answers:
            page = self._prompts.page(scene, [item])
            heard = sentence(self._task, item)
            reply = self._judge.batch([JudgeRequest(page.prompt, heard, page.offered, page.moves, 0)])[0]
            if isinstance(reply, Failure):
                raise RapportError(f"the judge could not tell what follows {heard!r}: {reply.reason}")
            verdict = read_verdict(str(reply))
            chosen = verdict.next_scene_id
            moves = {move.id: move for move in self._task.scenario.moves(scene)}
            following = moves.get(chosen, scene) if isinstance(chosen, int) else scene
            self._answers[key] = verdict.item_name is not None and spoken(verdict.item_name) == item.spoken, following
        return self._answers[key]

    def _unseen(self, scene: Scene, feedback: DialogueFeedback | None, internal: np.ndarray) -> EnvironmentState:
        """A state whose pictures nobody has seen."""
        shown = min(self._size(scene), len(scene.items))
        return EnvironmentState(DialogueScene(scene.id, _SILENCE, [_BLANK] * shown), feedback, internal)

    def _size(self, scene: Scene) -> int:
        return self._offer_size or scene.offer_size

    @staticmethod
    def _over_offers(values: Sequence[float], size: int, later: Manner) -> float:
        """The value of an offer, one item of which is chosen, averaged over all offers or many."""
        found = np.asarray(values)
        if later == "random":
            return float(found.mean())
        if size >= len(found):
            offers = np.arange(len(found))[None]
        elif comb(len(found), size) <= _MOST_OFFERS:
            offers = np.array(list(combinations(range(len(found)), size)))
        else:
            rng = np.random.default_rng(0)
            offers = np.array([rng.choice(len(found), size, replace=False) for _ in range(_MOST_OFFERS)])
        chosen = found[offers].max(axis=1) if later == "best" else found[offers].min(axis=1)
        return float(chosen.mean())


def sentence(task: Task, item: Item, pattern: int = 0) -> str:
    """How an item is asked for: by one of the task's utterance patterns, else by its name alone."""
    return item.spoken if task.patterns is None else task.patterns.utterance(item, pattern)
