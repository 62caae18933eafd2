"""One dialogue as a Gymnasium environment."""

from typing import Any

import gymnasium as gym

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.requests import Services
from rapport.simulator.rows import DialogueRows
from rapport.simulator.spaces import WaveformSpace, as_array, check_fit, infer_space
from rapport.simulator.task import Task
from rapport.simulator.transition import Action, Transition


class DialogueEnv(gym.Env[Any, Action]):
    """A counterpart that shows items, hears the agent and hands over what it was asked for.

    ## Action space
    `WaveformSpace`: speech, float32 [S] of any length at `config.sampling_rate_hz`. A `str` is taken too, and heard without a mistake.
    Silence is heard as nothing; samples beyond full scale are cut off and counted; NaN, whole numbers and more than one axis raise
    ActionError.

    ## Observation space
    Whatever the task's `observation_function` returns, inferred from the beginning of one uncounted episode: floats without bounds,
    whole numbers within their type, lists as float32 arrays, dictionaries part by part. With `config.audio_observation_s`, a key `audio`
    holds the counterpart's opening line. Pictures are shared and read-only.

    ## Rewards, starting state, end
    The task's functions decide. Beyond them, an episode is truncated after the task's `max_step` turns, and when a service failed for
    good, with the reason in `info["failed"]`. What else `info` holds is told at `Transition`.

    ## Seeding
    `reset(seed=s)` begins the first episode of `s`, and `reset()` the next. An episode depends on nothing but its own seed, which
    `info["seed"]` tells: `reset(options={"episode": "7-0-0-12"})` replays it alone, in any environment with this task and configuration.

    ## Arguments
    `worker` and `row` choose another stream of episodes under the same seed: row b of a `DialogueVectorEnv` holds the episodes of
    `row=b`. The task's own wrapper is not applied: `open_env` does that.

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
        seed: int = 0,
        worker: int = 0,
        row: int = 0,
    ) -> None:
        self.metadata = {"render_modes": []}
        self.rows = DialogueRows(task, services, template, config or SimulatorConfig(), seed=seed, worker=worker, first_row=row)
        self.action_space = WaveformSpace()
        self.observation_space = infer_space(self.rows.probe().observation)
        # A task's wrapper may bring pictures of several sizes to one.
        self._uniform = task.wrap is None

    @property
    def transition(self) -> Transition:
        """The last reset or step, with the states as the task's functions were given them."""
        if not self.rows.transitions:
            raise gym.error.ResetNeeded("this dialogue has not begun: call reset first")
        return self.rows.transitions[0]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        episode = (options or {}).get("episode")
        step = self.rows.reset(seed, None if episode is None else [str(episode)])[0]
        return self._observation(step), step.info

    def step(self, action: Action) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.rows.over[0]:
            raise gym.error.ResetNeeded("this dialogue is over, or has not begun: call reset first")
        step = self.rows.step([action])[0]
        return self._observation(step), step.reward, step.terminated, step.truncated, step.info

    def get_state(self) -> dict[str, Any]:
        """What the next `reset` depends on, as JSON holds it."""
        return self.rows.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state at the next `reset`, also if that is given a seed."""
        self.rows.set_state(state)

    def _observation(self, step: Transition) -> Any:
        observation = as_array(step.observation)
        if self._uniform:
            check_fit(self.observation_space, observation)
        return observation


def open_env(
    task: Task,
    services: Services,
    template: str,
    config: SimulatorConfig | None = None,
    *,
    seed: int = 0,
    worker: int = 0,
    row: int = 0,
) -> gym.Env[Any, Any]:
    """A `DialogueEnv` as its task wants it seen: inside the wrapper of the task's folder, if it has one."""
    env = DialogueEnv(task, services, template, config, seed=seed, worker=worker, row=row)
    return env if task.wrap is None else task.wrap(env)
