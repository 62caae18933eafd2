"""The newest turns of many dialogues, as arrays: what off-policy algorithms learn from.

RLlib's own buffers keep whole episodes as objects, and rebuild one for every turn they give; here a batch is one index into five arrays,
and the whole memory is written to a checkpoint as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

FIELDS = ("obs", "new_obs", "actions", "rewards", "terminateds")


class Turns:
    """At most `capacity` turns; the oldest make room."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity = capacity
        self.random = np.random.default_rng(seed)
        self.arrays: dict[str, np.ndarray] = {}
        self.count, self.next = 0, 0

    def __len__(self) -> int:
        return self.count

    def add(self, episodes: Sequence[SingleAgentEpisode]) -> int:
        """Remember the turns of pieces of episodes; gives how many."""
        added = 0
        for episode in episodes:
            length = len(episode)
            if not length:
                continue
            observations = np.asarray(episode.get_observations(), np.float32)
            ended = np.zeros(length, bool)
            ended[-1] = episode.is_terminated
            self._write(
                {
                    "obs": observations[:-1],
                    "new_obs": observations[1:],
                    "actions": np.asarray(episode.get_actions(), np.float32),
                    "rewards": np.asarray(episode.get_rewards(), np.float32),
                    "terminateds": ended,
                }
            )
            added += length
        return added

    def sample(self, size: int) -> dict[str, np.ndarray]:
        """`size` turns drawn alike, with repetition: obs, new_obs, actions, rewards, terminateds, each [size, ...]."""
        rows = self.random.integers(self.count, size=size)
        return {name: array[rows] for name, array in self.arrays.items()}

    def state(self) -> dict[str, Any]:
        """Everything but the random state, as arrays and numbers."""
        return {"count": self.count, "next": self.next, "arrays": {name: array[: self.count] for name, array in self.arrays.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self.count, self.next, self.arrays = state["count"], state["next"], {}
        for name, kept in state["arrays"].items():
            self.arrays[name] = self._room(kept)
            self.arrays[name][: self.count] = kept

    def _write(self, turns: Mapping[str, np.ndarray]) -> None:
        for name, values in turns.items():
            if name not in self.arrays:
                self.arrays[name] = self._room(values)
        for i in range(len(turns["rewards"])):
            for name, values in turns.items():
                self.arrays[name][self.next] = values[i]
            self.next = (self.next + 1) % self.capacity
            self.count = min(self.count + 1, self.capacity)

    def _room(self, like: np.ndarray) -> np.ndarray:
        return np.zeros((self.capacity, *like.shape[1:]), like.dtype)
