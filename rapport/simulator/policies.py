"""Reference policies: what agents that know everything, or nothing, earn in a task; an agent's return is read against theirs.

    policy = load_policy("oracle", task, judge, template)
    while ...:
        steps = rows.step(policy.act(steps))

| name | says |
|---|---|
| `silence` | nothing |
| `random` | any item on offer |
| `rule` | the first item on offer |
| `darkest` | the item whose picture is darkest |
| `worst` | the item that is worth least now |
| `oracle` | the item whose naming is worth most, turns to come included |
| `best_corner` | first the item that is best for the average beginning, whatever this one is; then as the oracle |

Policies answer with text, which a session hears without a mistake: an upper bound for agents that speak. `Spoken` says the same aloud.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.foresight import Foresight, Manner, Turn, sentence, turn_of
from rapport.simulator.requests import JudgeRequest, Service, SpeechRequest
from rapport.simulator.scenario import Item
from rapport.simulator.seeding import EpisodeSeed, kept_random
from rapport.simulator.task import Task
from rapport.simulator.transition import Action, Transition

Choice = Callable[[Turn], Item | None]
"""The item to name, None to say nothing."""

POLICIES = ("silence", "random", "rule", "darkest", "worst", "oracle", "best_corner")

AnyAction = TypeVar("AnyAction", bound=Action)


class Policy(Protocol[AnyAction]):
    """What acts in many dialogues at once."""

    def act(self, steps: Sequence[Transition]) -> list[AnyAction]:
        """An action for each row's last step or reset; for rows that are over, one that nobody will look at."""
        ...


class ReferencePolicy:
    """Names the item of its choice. What it says in an episode does not depend on the rows beside it."""

    def __init__(self, task: Task, choose: Choice, *, pattern: int = 0) -> None:
        """`pattern` is which of an item's utterances is said."""
        self._task, self._choose, self._pattern = task, choose, pattern

    def act(self, steps: Sequence[Transition]) -> list[str]:
        """The words for each row; none where there is nothing on offer."""
        with kept_random():  # once for all rows: looking ahead calls the task's functions
            return ["" if step.over else self._say(turn_of(self._task, step)) for step in steps]

    def _say(self, turn: Turn) -> str:
        item = self._choose(turn) if turn.offer else None
        return "" if item is None else sentence(self._task, item, self._pattern)


class Spoken:
    """The words of another policy, as speech."""

    def __init__(self, policy: Policy[str], voice: Service[SpeechRequest], speaker: str, rate_hz: int) -> None:
        self._policy, self._voice, self._speaker, self._rate_hz = policy, voice, speaker, rate_hz

    def act(self, steps: Sequence[Transition]) -> list[np.ndarray]:
        """Speech, float32 [S] at the simulator's rate, for each row; a tenth of a second of silence for no words.

        Raises RapportError when the voice cannot speak.
        """
        words = self._policy.act(steps)
        requests = [SpeechRequest(text, self._speaker, self._rate_hz) for text in words if text]
        spoken = iter(self._voice.batch(requests) if requests else [])
        return [self._checked(next(spoken), text) if text else np.zeros(self._rate_hz // 10, np.float32) for text in words]

    @staticmethod
    def _checked(speech: object, text: str) -> np.ndarray:
        if not isinstance(speech, np.ndarray):
            raise RapportError(f"the voice could not say {text!r}: {speech}")
        return speech


def load_policy(
    name: str, task: Task, judge: Service[JudgeRequest], template: str, *, pattern: int = 0, offer_size: int | None = None
) -> ReferencePolicy:
    """The policy of a name.

    `judge` and `template` tell those that look ahead where naming an item leads; `offer_size` is the simulator's where it sets one.
    Raises RapportError for an unknown name.
    """
    foresight = Foresight(task, judge, template, offer_size=offer_size)
    oracle = by_value(foresight)
    choices: dict[str, Choice] = {
        "silence": lambda turn: None,
        "random": at_random,
        "rule": lambda turn: turn.offer[0],
        "darkest": darkest,
        "worst": by_value(foresight, best=False),
        "oracle": oracle,
        "best_corner": in_turn(best_on_average(foresight), oracle),
    }
    if name not in choices:
        raise RapportError(f"no policy {name!r}: wanted one of {', '.join(POLICIES)}")
    return ReferencePolicy(task, choices[name], pattern=pattern)


def at_random(turn: Turn) -> Item:
    """Any item on offer, drawn by the episode's seed."""
    seed = EpisodeSeed.parse(turn.seed)
    # A child of the seed of the episode's own stream, and so unrelated to it.
    child = np.random.SeedSequence([seed.master, seed.worker, seed.row, seed.episode], spawn_key=(turn.held,))
    return turn.offer[int(np.random.default_rng(child).integers(len(turn.offer)))]


def darkest(turn: Turn) -> Item:
    """The item whose picture has the lowest mean; blind to what the agent wants."""
    images = turn.state.dialogue_scene.images
    return turn.offer[int(np.argmin([image.mean() for image in images]))]


def by_value(foresight: Foresight, *, best: bool = True, later: Manner | None = None) -> Choice:
    """The item that is worth most, or least; later turns in the same manner unless told (`best`, `random`, `worst`)."""
    manner: Manner = later or ("best" if best else "worst")
    sign = 1 if best else -1
    return lambda turn: turn.offer[int(np.argmax(sign * np.asarray(foresight.values(turn, manner))))]


def best_on_average(foresight: Foresight) -> Choice:
    """Of the items on offer in the initial scene, the one that is best to name first when nothing is known of the agent."""
    return lambda turn: max(turn.offer, key=lambda item: foresight.average_values()[item.id])


def in_turn(first: Choice, later: Choice) -> Choice:
    """One choice in the first turn of an episode, another from then on."""
    return lambda turn: (later if turn.held else first)(turn)
