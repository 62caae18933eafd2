"""Dialogues as an agent with a body lives them: it sees features, chooses a picture and a way to speak, and the body does the talking."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from rapport.core.errors import RapportError
from rapport.simulator.agent_space import Choices, Numbers, action_space, observation_space, read_actions
from rapport.simulator.body import Body
from rapport.simulator.config import AgentEnvConfig, SimulatorConfig
from rapport.simulator.feature_cache import FeatureCache
from rapport.simulator.requests import Services
from rapport.simulator.row_views import RowViews, View
from rapport.simulator.rows import DialogueRows
from rapport.simulator.task import Task
from rapport.simulator.transition import Transition
from rapport.simulator.vector_env import stack_infos


class BodyError(RapportError):
    """A body that does not fit the simulator, or does not do what bodies do."""


class Embodied:
    """B dialogues with the one body that acts in all of them; what the vector and the single environment share."""

    def __init__(self, rows: DialogueRows, body: Body, config: AgentEnvConfig) -> None:
        if body.rate_hz != rows.config.sampling_rate_hz:
            raise BodyError(
                f"the body speaks at {body.rate_hz} Hz, the simulator hears at {rows.config.sampling_rate_hz} Hz: "
                f"set the simulator's sampling_rate_hz to {body.rate_hz}"
            )
        self.rows = rows
        self._body = body
        self._config = config
        self._views = RowViews(rows.task, rows.probe().observation, len(rows), wrapped=config.wrapped)
        self._numbers = Numbers(self._views.observation_space, config.state_scale)
        self._features = FeatureCache(body.see, config.feature_cache)
        self._slots = max(rows.config.offer_size or scene.offer_size for scene in rows.task.scenario.scenes.values())
        self._seen = np.zeros((len(rows), self._slots, body.feature_width), np.float32)
        self.observation_space = observation_space(self._numbers.width, self._slots, body.feature_width)
        self.action_space = action_space(config, self._slots, body.feature_width, body.sentence_width)

    def reset(self, seed: int | None, episodes: Sequence[str] | None) -> tuple[np.ndarray, list[View]]:
        """Observations float32 [B, N + P F], and what the rows show besides."""
        transitions = self.rows.reset(seed, episodes)
        views = self._views.views(transitions, [None] * len(self.rows))
        return self._observe(transitions, views), views

    def step(self, actions: Any) -> tuple[np.ndarray, list[View]]:
        """The same after a turn of `actions`, batched; rows whose episode is over say nothing, and begin the next one."""
        over = self.rows.over
        choices = read_actions(self._config, _where(actions, ~over), self._seen[~over], self._body.sentence_width)
        speech = self._say(choices)
        offers = [step.info["offered"] for step in self.rows.transitions]
        said: list[np.ndarray | None] = [None] * len(self.rows)
        chosen: dict[int, int] = {}
        for row, waveform, picture in zip(np.flatnonzero(~over).tolist(), speech, choices.pictures.tolist(), strict=True):
            said[row], chosen[row] = waveform, picture
        spoken = [None if waveform is None else self._views.spoken(row, waveform) for row, waveform in enumerate(said)]
        transitions = self.rows.step(spoken)
        views = self._views.views(transitions, said)
        self.rows.over = np.array([view.terminated or view.truncated for view in views], dtype=bool)
        for row, picture in chosen.items():
            offered = offers[row]
            name = offered[picture] if picture < len(offered) else ""
            views[row] = views[row]._replace(info=views[row].info | {"chosen": picture, "chosen_name": name})
        return self._observe(transitions, views), views

    def _say(self, choices: Choices) -> list[np.ndarray]:
        """Speech of every choice. A place where no picture is has nothing to speak of: silence, which costs no synthesis."""
        silence = np.zeros(self._body.rate_hz, np.float32)
        speech = [silence] * len(choices.pictures)
        places = np.flatnonzero(choices.features.any(axis=1))
        if places.size:
            said = self._body.say(choices.features[places], choices.sentences[places])
            if len(said) != places.size:
                raise BodyError(f"the body said {len(said)} utterances for {places.size} choices")
            for place, waveform in zip(places.tolist(), said, strict=True):
                speech[place] = waveform
        return speech

    def _observe(self, transitions: Sequence[Transition], views: Sequence[View]) -> np.ndarray:
        shown = [step.next.dialogue_scene.images[: self._slots] for step in transitions]
        features = iter(self._features.features([picture for pictures in shown for picture in pictures]))
        seen = np.zeros_like(self._seen)
        for row, pictures in enumerate(shown):
            for slot in range(len(pictures)):
                seen[row, slot] = next(features)
        self._seen = seen
        numbers = self._numbers.read([view.observation for view in views])
        return np.concatenate([numbers, seen.reshape(len(transitions), -1)], axis=1)


class AgentVectorEnv(gym.vector.VectorEnv[np.ndarray, Any, np.ndarray]):
    """B dialogues of one agent, as training wants them: vectors in and out, all speech of a step in one batch.

    ## Observations
    float32 [B, N + P F]: N numbers of the task's observation (all but pictures, scaled as `AgentEnvConfig` tells), then F features of
    each of the P pictures on show, in the order of the offer; zeros where there is none. The task's `wrap_task_env` is left out unless
    `agent.wrapped`.

    ## Actions
    | `agent.actions` | space | meaning |
    |---|---|---|
    | `factored` | Dict(image Discrete(P), sentence Box(±2.5, [Z])) | which picture, and how to speak of it |
    | `box` | Box(±1, [P - 1 + Z]) | logits of the pictures after the first, whose own is 0; sentence embedding / 2.5 |
    | `feature` | Box(±10000, [F + Z]) | features to speak of, and sentence embedding (published) |

    Who chooses a place without a picture is silent.

    ## Rewards, ends, infos, seeding, autoreset
    As in `DialogueVectorEnv`; infos of turns hold besides `chosen`, the picture's place, and `chosen_name`, its item's name. Rows whose
    episode is over are not spoken for.

    ## Version history
    v0: first.
    """

    def __init__(
        self,
        task: Task,
        services: Services,
        template: str,
        body: Body,
        config: SimulatorConfig | None = None,
        agent: AgentEnvConfig | None = None,
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
        self._embodied = Embodied(self.rows, body, agent or AgentEnvConfig())
        self.single_observation_space = self._embodied.observation_space
        self.single_action_space = self._embodied.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        observations, views = self._embodied.reset(seed, (options or {}).get("episodes"))
        return observations, stack_infos([view.info for view in views])

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, views = self._embodied.step(actions)
        rewards = np.array([view.reward for view in views], dtype=np.float64)
        terminated = np.array([view.terminated for view in views], dtype=bool)
        truncated = np.array([view.truncated for view in views], dtype=bool)
        return observations, rewards, terminated, truncated, stack_infos([view.info for view in views])

    def get_state(self) -> dict[str, Any]:
        """What the next `reset` depends on, as JSON holds it."""
        return self.rows.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state at the next `reset`, also if that is given a seed. Raises StateError for another number of rows."""
        self.rows.set_state(state)


class AgentEnv(gym.Env[np.ndarray, Any]):
    """One dialogue of one agent: a row of `AgentVectorEnv` by itself, with the same spaces, and the same episodes for the same `row`."""

    def __init__(
        self,
        task: Task,
        services: Services,
        template: str,
        body: Body,
        config: SimulatorConfig | None = None,
        agent: AgentEnvConfig | None = None,
        *,
        seed: int = 0,
        worker: int = 0,
        row: int = 0,
    ) -> None:
        self.metadata = {"render_modes": []}
        self.rows = DialogueRows(task, services, template, config or SimulatorConfig(), seed=seed, worker=worker, first_row=row)
        self._embodied = Embodied(self.rows, body, agent or AgentEnvConfig())
        self.observation_space = self._embodied.observation_space
        self.action_space = self._embodied.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        episode = (options or {}).get("episode")
        observations, views = self._embodied.reset(seed, None if episode is None else [str(episode)])
        return observations[0], views[0].info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.rows.over[0]:
            raise gym.error.ResetNeeded("this dialogue is over, or has not begun: call reset first")
        actions = {key: np.asarray(part)[None] for key, part in action.items()} if isinstance(action, dict) else np.asarray(action)[None]
        observations, views = self._embodied.step(actions)
        view = views[0]
        return observations[0], view.reward, view.terminated, view.truncated, view.info

    def get_state(self) -> dict[str, Any]:
        """What the next `reset` depends on, as JSON holds it."""
        return self.rows.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state at the next `reset`, also if that is given a seed."""
        self.rows.set_state(state)


def _where(actions: Any, rows: np.ndarray) -> Any:
    if isinstance(actions, dict):
        return {key: np.asarray(part)[rows] for key, part in actions.items()}
    return np.asarray(actions)[rows]
