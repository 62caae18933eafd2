"""Many dialogues as one Gymnasium vector environment."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.requests import Services
from rapport.simulator.row_views import RowViews, View
from rapport.simulator.rows import DialogueRows
from rapport.simulator.spaces import SpaceError
from rapport.simulator.task import Task
from rapport.simulator.transition import Action
from rapport.simulator.utterance import ActionError


class DialogueVectorEnv(gym.vector.VectorEnv[Any, Sequence[Action], np.ndarray]):
    """B dialogues, each as in `DialogueEnv`, whose turns are held together: one batch a stage for each kind of service.

    ## Actions
    B waveforms of any lengths, or texts; those of rows whose episode is over are not looked at and may be None.

    ## Autoreset
    Next step: the step after an episode's end begins the row's next one, and returns its first observation with reward 0. Such rows are
    neither transcribed nor judged; their pictures are asked for in one batch with those of the others.

    ## Observations
    As the task's wrapper leaves them, batched; each row has a wrapper of its own. Infos are arrays by key with a mask under `_key`.

    ## Seeding
    `reset(seed=s)` begins episode 0 of every row; rows have unrelated streams. `reset(options={"episodes": [...]})` replays named
    episodes, one a row. With `reseeds` False only the first seed counts: for runners that seed each of their samples, and would otherwise
    meet the same episodes for ever.

    ## Version history
    v0: first.
    """

    def __init__(
        self,
        task: Task,
        services: Services,
        template: str,
        config: SimulatorConfig | None = None,
        *,
        num_envs: int,
        seed: int = 0,
        worker: int = 0,
        reseeds: bool = True,
    ) -> None:
        self.metadata = {"render_modes": [], "autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
        self.num_envs = num_envs
        self.rows = DialogueRows(
            task, services, template, config or SimulatorConfig(), rows=num_envs, seed=seed, worker=worker, reseeds=reseeds
        )
        self._views = RowViews(task, self.rows.probe().observation, num_envs)
        self.single_observation_space = self._views.observation_space
        self.single_action_space = self._views.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        transitions = self.rows.reset(seed, (options or {}).get("episodes"))
        views = self._views.views(transitions, [None] * self.num_envs)
        return self._stacked(views), stack_infos([view.info for view in views])

    def step(self, actions: Sequence[Any]) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        if len(actions) != self.num_envs:
            raise ActionError(f"{len(actions)} actions for {self.num_envs} rows: wanted one a row")
        spoken = [None if over else self._views.spoken(row, actions[row]) for row, over in enumerate(self.rows.over)]
        views = self._views.views(self.rows.step(spoken), actions)
        terminated = np.array([view.terminated for view in views], dtype=bool)
        truncated = np.array([view.truncated for view in views], dtype=bool)
        self.rows.over = terminated | truncated  # as the wrappers have it, which may end an episode early
        rewards = np.array([view.reward for view in views], dtype=np.float64)
        return self._stacked(views), rewards, terminated, truncated, stack_infos([view.info for view in views])

    def get_state(self) -> dict[str, Any]:
        """What the next `reset` depends on, as JSON holds it."""
        return self.rows.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state at the next `reset`, also if that is given a seed. Raises StateError for another number of rows."""
        self.rows.set_state(state)

    def _stacked(self, views: Sequence[View]) -> Any:
        space = self.single_observation_space
        try:
            # A fresh array each time: runners keep views of what they are given.
            return concatenate(space, [view.observation for view in views], create_empty_array(space, self.num_envs, np.empty))
        except (ValueError, KeyError) as error:
            raise SpaceError(f"observations do not fit {space}: {error}; mend wrap_task_env, or the sizes that it is given") from error


def stack_infos(infos: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Infos of rows as vector environments give them: an array by key, of numbers or objects, and under `_key` which rows have it."""
    stacked: dict[str, Any] = {}
    for key in dict.fromkeys(key for info in infos for key in info):
        present = [key in info for info in infos]
        values = [info.get(key) for info in infos]
        kinds = {type(value) for value, has in zip(values, present, strict=True) if has}
        if len(kinds) == 1 and (kind := kinds.pop()) in (bool, int, float):
            column = np.array([value if has else kind() for value, has in zip(values, present, strict=True)], dtype=kind)
        else:
            column = np.empty(len(infos), dtype=object)
            for row, value in enumerate(values):
                column[row] = value
        stacked[key], stacked[f"_{key}"] = column, np.array(present, dtype=bool)
    return stacked
