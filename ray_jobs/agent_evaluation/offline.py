"""Episodes of an agent as data for RLlib's offline algorithms (ray 2.60, new API stack).

    config = (
        MARWILConfig()
        .environment(observation_space=..., action_space=...)      # `read_spaces(folder)` gives them
        .offline_data(input_=[f"{folder}/episodes"], input_read_sample_batches=True, dataset_num_iters_per_learner=1)
    )

turns/       Parquet, a row a turn: eps_id, t, obs, actions, rewards, new_obs, terminateds, truncateds
episodes/    the same with a list in each cell, an episode a row; read with `input_read_sample_batches=True`
spaces.json  sizes and bounds

Read turn by turn, each turn counts as an episode of its own, which suits behaviour cloning, IQL and CQL. Algorithms that count what
follows a turn want whole episodes. An action is that of `AgentEnvConfig.actions` "box": a number for each picture after the first, -1 or 1,
and the sentence embedding divided by its limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow as pa

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.spolacq.policy import Layout
from rapport.simulator.transition import Transition

TURNS, EPISODES, SPACES = "turns", "episodes", "spaces.json"
_COLUMNS: dict[str, Any] = {
    "t": pa.int64(),
    "obs": pa.list_(pa.float32()),
    "actions": pa.list_(pa.float32()),
    "rewards": pa.float64(),
    "new_obs": pa.list_(pa.float32()),
    "terminateds": pa.bool_(),
    "truncateds": pa.bool_(),
}


@dataclass(slots=True)
class _Episode:
    """Turns as far as they have come, column by column."""

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})

    def add(self, **values: Any) -> None:
        for name, value in values.items():
            self.columns[name].append(value)


class EpisodeKeeper:
    """Gathers what an agent saw, did and got."""

    def __init__(self, layout: Layout, limit: float) -> None:
        """`limit` bounds the sentence embedding."""
        self._layout, self._limit = layout, limit
        self._open: dict[int, _Episode] = {}
        self._done: list[tuple[str, _Episode]] = []

    def take(
        self,
        acted: np.ndarray,
        before: np.ndarray,
        images: np.ndarray,
        sentences: np.ndarray,
        rewards: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
        after: np.ndarray,
    ) -> None:
        """A turn of the rows that acted: observations [B, N + P F] before and after, choices [B], embeddings [B, Z]."""
        actions = as_box(images, sentences, self._layout.pictures, self._limit)
        for row in np.flatnonzero(acted).tolist():
            episode = self._open.setdefault(row, _Episode())
            episode.add(
                t=len(episode.columns["t"]),
                obs=before[row].copy(),
                actions=actions[row],
                rewards=float(rewards[row]),
                new_obs=after[row].copy(),
                terminateds=bool(terminated[row]),
                truncateds=bool(truncated[row]),
            )

    def close_rows(self, wanted: np.ndarray, steps: Sequence[Transition]) -> None:
        """Keep the episodes that ended, but for those that a service broke off; forget those of rows that are not wanted."""
        for row in list(self._open):
            step = steps[row]
            if not wanted[row]:
                del self._open[row]
            elif step.over:
                episode = self._open.pop(row)
                if not step.info["failed"]:
                    self._done.append((str(step.info["seed"]), episode))

    def write(self, folder: str, forms: Sequence[str]) -> None:
        """Write `turns`, `episodes` or both below a folder."""
        storage.write_json(
            storage.join(folder, SPACES), {"observation": self._layout.width, "action": self._layout.pictures - 1 + self._layout.sentence}
        )
        if TURNS in forms:
            rows = [
                {"eps_id": seed} | {name: values[t] for name, values in episode.columns.items()}
                for seed, episode in self._done
                for t in range(len(episode.columns["t"]))
            ]
            _write(storage.join(folder, TURNS), rows, _COLUMNS, pa.string())
        if EPISODES in forms:
            lists = {name: pa.list_(kind) for name, kind in _COLUMNS.items()}
            whole = [{"eps_id": [seed] * len(episode.columns["t"]), **episode.columns} for seed, episode in self._done]
            _write(storage.join(folder, EPISODES), whole, lists, pa.list_(pa.string()))


def as_box(images: np.ndarray, sentences: np.ndarray, pictures: int, limit: float) -> np.ndarray:
    """Factored actions as `box` actions, float32 [B, P - 1 + Z] within plus and minus 1, which choose the same."""
    logits = np.where(np.arange(1, pictures) == images[:, None], 1.0, -1.0)
    return np.concatenate([logits, np.clip(sentences / limit, -1, 1)], axis=1).astype(np.float32)


def read_spaces(folder: str) -> tuple[gym.spaces.Box, gym.spaces.Box]:
    """The observation space and the action space of exported data. Raises RapportError when the folder holds none."""
    path = storage.join(folder, SPACES)
    if not storage.exists(path):
        raise RapportError(f"{folder} holds no offline data: wanted {SPACES}; write it with evaluate_agent --export turns episodes")
    sizes = storage.read_json(path)
    observation = gym.spaces.Box(-np.inf, np.inf, (sizes["observation"],), np.float32)
    return observation, gym.spaces.Box(-1.0, 1.0, (sizes["action"],), np.float32)


def gather(shards: Sequence[str], folder: str, forms: Sequence[str]) -> None:
    """Bring what the shards of a system wrote into one folder."""
    for number, shard in enumerate(shards):
        for form in forms:
            source = storage.join(shard, form, "part.parquet")
            storage.write_bytes(storage.join(folder, form, f"part-{number:05d}.parquet"), storage.read_bytes(source))
        storage.write_bytes(storage.join(folder, SPACES), storage.read_bytes(storage.join(shard, SPACES)))
        storage.remove(shard)


def _write(folder: str, rows: Sequence[dict[str, Any]], columns: dict[str, Any], seed: Any) -> None:
    schema = pa.schema([("eps_id", seed), *columns.items()])
    storage.write_table(storage.join(folder, "part.parquet"), pa.Table.from_pylist(list(rows), schema=schema))
