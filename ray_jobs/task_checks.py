"""What a task shows only when it is used: how its sentences are heard, and how its functions bear a dialogue."""

from dataclasses import dataclass

import numpy as np

from rapport.core.errors import RapportError
from rapport.models.spolacq.services import load_services
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.policies import load_policy
from rapport.simulator.rows import DialogueRows
from rapport.simulator.task import Task


@dataclass(frozen=True)
class Held:
    """What some dialogues came to."""

    mean_return: float
    warnings: list[str]


def sentences_of(task: Task) -> tuple[str, ...]:
    """Every way to ask for any item of a task; none for a task without utterance patterns."""
    return () if task.patterns is None else task.patterns.sentences(task.scenario.items.values())


def unheard_words(sentences: tuple[str, ...]) -> list[str]:
    """A warning when the embedded ears lack words of the sentences."""
    from rapport.models.backends.asr import pocketsphinx

    if not sentences:
        return ["the task has no utterance patterns: nothing tells an agent how its items are asked for, and ears how to listen"]
    try:
        pocketsphinx.load(sentences=sentences)
    except RapportError as error:
        return [f"the embedded ears cannot hear all sentences: {error}"]
    return []


def held_dialogues(task: Task, template: str, episodes: int, seed: int) -> Held:
    """Dialogues in words about items at random, with flat pictures and the rule judge.

    Raises what the task's functions raise, with the place of the trouble named.
    """
    services = ServicesConfig(ears="tone", voice="tone", pictures="flat", cache=CacheConfig(enabled=False))
    opened = load_services(services, task)
    rows = DialogueRows(task, opened, template, SimulatorConfig(), seed=seed)
    policy = load_policy("random", task, opened.judge, template)
    returns, unending, nothing = np.zeros(episodes), 0, 0
    try:
        for episode in range(episodes):
            rows.reset()
            given, turns = 0, 0
            while not rows.over[0]:
                step = rows.step(policy.act(rows.transitions))[0]
                returns[episode] += step.reward
                given, turns = given + (step.info["item_id"] != -1), turns + 1
            unending += not step.terminated
            nothing += not given
    except RapportError:
        raise
    except Exception as error:  # the task's own code
        raise RapportError(f"{task.folder}: its functions broke off a dialogue: {type(error).__name__}: {error}") from error
    warnings = []
    if nothing == episodes:
        warnings.append(f"in {episodes} dialogues that asked for an item in every turn nothing was handed over by the rule judge")
    if not np.any(returns):
        warnings.append(f"{episodes} dialogues about items at random earned nothing: see reward_function")
    if unending == episodes:
        warnings.append(f"none of {episodes} dialogues was terminated, all were truncated (max_step is {task.max_step})")
    return Held(float(returns.mean()), warnings)
