"""What RLlib's runners act in: an agent's dialogues, counted, their infos left inside; and evaluations of the same agent beside them."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from rapport.models.spolacq.policy import AgentPolicy
from rapport.ray_jobs.agent_training.figures import Tally, understood
from rapport.ray_jobs.agent_training.world import open_environment

ENVIRONMENT = "rapport-agent"
OpenTest = Callable[[int], gym.vector.VectorEnv]
"""So many dialogues with pictures of the test pool and factored actions; the argument tells apart the processes that evaluate."""


class CountedDialogues(gym.vector.VectorEnv[Any, Any, Any]):
    """A vector environment of dialogues whose infos stay inside: episodes of a runner keep every info they are given.

    ## Version history
    v0: first.
    """

    def __init__(self, dialogues: Any, open_test: OpenTest, *, time_limit_ends: bool) -> None:
        """With `time_limit_ends`, an episode broken off for its number of turns has ended; one that a service broke off has not."""
        self.dialogues, self._open_test, self._time_limit_ends = dialogues, open_test, time_limit_ends
        self.metadata = dialogues.metadata
        self.num_envs = dialogues.num_envs
        self.single_observation_space, self.single_action_space = dialogues.single_observation_space, dialogues.single_action_space
        self.observation_space, self.action_space = dialogues.observation_space, dialogues.action_space
        self._tally = Tally()
        self._returns = np.zeros(self.num_envs)
        self._over = np.ones(self.num_envs, bool)
        self._test: gym.vector.VectorEnv[Any, Any, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observations, _ = self.dialogues.reset(seed=seed, options=options)
        self._returns[:], self._over[:] = 0.0, False
        return observations, {}

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        acted = ~self._over
        observations, rewards, terminated, truncated, infos = self.dialogues.step(actions)
        failed = _failed(infos, self.num_envs)
        if self._time_limit_ends:
            terminated = terminated | (truncated & ~failed)
            truncated = truncated & failed
        self._over = terminated | truncated
        count(self._tally, acted, self._returns, rewards, self._over, infos, failed)
        return observations, rewards, terminated, truncated, {}

    def take_tally(self) -> Tally:
        """What happened since it was last asked for."""
        taken, self._tally = self._tally, Tally()
        return taken

    def evaluate(self, policy: AgentPolicy, episodes: int, seed: int, worker: int) -> Tally:
        """What a policy comes to in at least so many episodes of its own, always the same for a seed and a worker."""
        if self._test is None:
            self._test = self._open_test(worker)
        return play(self._test, policy, episodes, seed)

    def get_state(self) -> dict[str, Any]:
        """What the next `reset` depends on, as JSON holds it."""
        state: dict[str, Any] = self.dialogues.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state at the next `reset`."""
        self.dialogues.set_state(state)
        self._over[:] = True


def play(dialogues: gym.vector.VectorEnv, policy: AgentPolicy, episodes: int, seed: int) -> Tally:
    """The first episodes of every row, as many in each, so that short ones do not crowd out long ones."""
    rows = dialogues.num_envs
    wanted = -(-episodes // rows)
    tally, left = Tally(), np.full(rows, wanted)
    returns, over = np.zeros(rows), np.zeros(rows, bool)
    observations, _ = dialogues.reset(seed=seed)
    while left.any():
        images, sentences = policy.act(observations)
        acted = ~over & (left > 0)
        observations, rewards, terminated, truncated, infos = dialogues.step({"image": images, "sentence": sentences})
        over = terminated | truncated
        count(tally, acted, returns, rewards, over, infos, _failed(infos, rows))
        left -= acted & over
    return tally


def count(
    tally: Tally,
    acted: np.ndarray,
    returns: np.ndarray,
    rewards: np.ndarray,
    over: np.ndarray,
    infos: dict[str, Any],
    failed: np.ndarray,
) -> None:
    """Add a step to a tally: of the rows that acted, `returns` [B] is carried from step to step."""
    for row in np.flatnonzero(acted).tolist():
        returns[row] += rewards[row]
        tally.turn(understood(infos, row))
        if over[row]:
            tally.episode(float(returns[row]), bool(failed[row]))
            returns[row] = 0.0


def create(context: dict[str, Any]) -> CountedDialogues:
    """An environment as RLlib asks for it, registered as `ENVIRONMENT`.

    `context` holds `world` (an `AgentWorld`), `place` (a `ServicePlace` or None), `actions` and `time_limit_ends`. Raises RapportError
    for a world that cannot be opened.
    """
    world, place, sessions = context["world"], context["place"], context["num_envs"]
    # RLlib seeds the first reset, with another seed for every runner, and would seed later ones alike.
    dialogues = open_environment(world, sessions, place=place, actions=context["actions"], reseeds=False)

    def open_test(worker: int) -> gym.vector.VectorEnv:
        return open_environment(world, sessions, place=place, mode="test", worker=worker)

    return CountedDialogues(dialogues, open_test, time_limit_ends=context["time_limit_ends"])


def _failed(infos: dict[str, Any], rows: int) -> np.ndarray:
    """Which rows a service could not serve, bool [B]."""
    told = infos.get("failed")
    return np.zeros(rows, bool) if told is None else np.array([bool(each) for each in told])
