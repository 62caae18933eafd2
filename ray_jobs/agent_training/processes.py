"""The processes of an algorithm, each with dialogues of its own: their generators, counts, states, and evaluations.

RLlib runs what it is given in every env runner; without any, the process that learns acts too, as runner 0.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from rapport.models.spolacq.policy import AgentPolicy
from rapport.ray_jobs.agent_training.environment import CountedDialogues
from rapport.ray_jobs.agent_training.figures import Tally
from rapport.ray_jobs.agent_training.off_policy import OffPolicy
from rapport.training.numerics import seed_everything

T = TypeVar("T")
_LEARNER, _REPLAY = 10_000, 10_001
"""Beside the numbers of the runners."""


def seed_all(algorithm: Algorithm, seed: int, iteration: int) -> None:
    """Every generator of every process, by what comes next: nothing random carries over from one iteration to the next."""

    def seed_runner(runner: SingleAgentEnvRunner) -> None:
        seed_everything(_seed(seed, iteration, runner.worker_index), torch.device("cpu"))

    _everywhere(algorithm, seed_runner)
    if _remote(algorithm):
        seed_everything(_seed(seed, iteration, _LEARNER), torch.device("cpu"))
    if isinstance(algorithm, OffPolicy):
        algorithm.turns.random = np.random.default_rng(_seed(seed, iteration, _REPLAY))


def take_tally(algorithm: Algorithm) -> Tally:
    """What all dialogues came to since it was last asked for."""
    return Tally.of(_everywhere(algorithm, lambda runner: _dialogues(runner).take_tally()))


def evaluate(algorithm: Algorithm, policy: AgentPolicy, episodes: int, seed: int) -> Tally:
    """What a policy comes to in at least so many episodes, shared out among the processes. Their training is left as it is."""
    share = -(-episodes // max(1, _remote(algorithm)))

    def play(runner: SingleAgentEnvRunner) -> Tally:
        return _dialogues(runner).evaluate(policy, share, seed, runner.worker_index)

    return Tally.of(_everywhere(algorithm, play))


def begin_anew(algorithm: Algorithm) -> None:
    """Let every dialogue begin with its next episode. What it was in the middle of has been learned from and is broken off."""

    def forget(runner: SingleAgentEnvRunner) -> None:
        runner._needs_initial_reset = True

    _everywhere(algorithm, forget)


def dialogue_states(algorithm: Algorithm) -> list[Any]:
    """What the next episodes depend on, of each process."""
    return _everywhere(algorithm, lambda runner: _dialogues(runner).get_state())


def restore_dialogues(algorithm: Algorithm, states: list[Any]) -> None:
    """Let every process go on with the episodes that would have come next when `dialogue_states` was asked."""
    first = min(_everywhere(algorithm, lambda runner: int(runner.worker_index)))

    def restore(runner: SingleAgentEnvRunner) -> None:
        _dialogues(runner).set_state(states[runner.worker_index - first])
        runner._needs_initial_reset = True

    _everywhere(algorithm, restore)


def _everywhere(algorithm: Algorithm, work: Callable[[SingleAgentEnvRunner], T]) -> list[T]:
    """What the work gives in each process that acts, in the order of their numbers. Raises what it raises there."""
    group: Any = algorithm.env_runner_group
    done: list[tuple[int, T]] = group.foreach_env_runner(
        lambda runner: (int(runner.worker_index), work(runner)), local_env_runner=not _remote(algorithm)
    )
    return [result for _, result in sorted(done, key=lambda each: each[0])]


def _remote(algorithm: Algorithm) -> int:
    """How many processes act besides the one that learns."""
    group: Any = algorithm.env_runner_group
    return int(group.num_remote_workers())


def _dialogues(runner: SingleAgentEnvRunner) -> CountedDialogues:
    env: Any = runner.env
    dialogues: CountedDialogues = env.unwrapped
    return dialogues


def _seed(seed: int, iteration: int, process: int) -> int:
    return int(np.random.SeedSequence([seed, iteration, process]).generate_state(1)[0])
