from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_training.environment import CountedDialogues
from rapport.ray_jobs.agent_training.figures import Tally
from rapport.ray_jobs.agent_training.world import load_world


class Scripted(gym.vector.VectorEnv[Any, Any, Any]):
    """Two rows: the first is broken off by its number of turns in its second turn, the second by a service in its first."""

    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012  as gymnasium has it
    num_envs = 2
    single_observation_space = observation_space = gym.spaces.Box(-1, 1, (1,))
    single_action_space = action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.at = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros((2, 1), np.float32), {"seed": np.array(["0-0-0-0", "0-0-1-0"], object)}

    def step(self, actions: Any) -> Any:
        self.at += 1
        acted = np.array([True, self.at != 2])
        infos = {
            "chosen_name": np.array(["tea", "tea"], object),
            "_chosen_name": acted,
            "item_name": np.array(["tea", "" if self.at == 1 else "cake"], object),
            "failed": np.array(["", "ears: gone" if self.at == 1 else ""], object),
        }
        truncated = np.array([self.at == 2, self.at == 1])
        return np.zeros((2, 1), np.float32), np.array([0.25, 0.0]), np.zeros(2, bool), truncated, infos

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


def counted(*, time_limit_ends: bool = True) -> CountedDialogues:
    env = CountedDialogues(Scripted(), lambda worker: Scripted(), time_limit_ends=time_limit_ends)
    env.reset()
    return env


def test_turns_and_episodes_are_counted_and_resets_are_not() -> None:
    env = counted()
    for _ in range(2):
        env.step(np.zeros(2))
    tally = env.take_tally()
    assert tally == Tally(turns=3, understood=2, failed=1, episodes=2, successes=1, returns=0.5, squares=0.25)
    assert env.take_tally() == Tally()
    figures = tally.figures()
    assert figures["mean_return"] == 0.25
    assert figures["success"] == 0.5
    assert figures["understood"] == pytest.approx(2 / 3)


def test_an_episode_ends_by_its_number_of_turns_but_not_by_a_service_that_is_gone() -> None:
    env = counted()
    _, _, terminated, truncated, infos = env.step(np.zeros(2))
    assert (terminated.tolist(), truncated.tolist(), infos) == ([False, False], [False, True], {})
    _, _, terminated, truncated, _ = env.step(np.zeros(2))
    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, False])
    open_ended = counted(time_limit_ends=False)
    open_ended.step(np.zeros(2))
    assert open_ended.step(np.zeros(2))[3].tolist() == [True, False]


def test_tallies_add_up() -> None:
    one = Tally(turns=2, episodes=1, returns=0.5, squares=0.25, successes=1)
    assert Tally.of([one, one]).figures() == pytest.approx(
        {"turns": 4, "episodes": 2, "failed": 0, "mean_return": 0.5, "standard_error": 0.0, "success": 1.0, "understood": 0.0}
    )
    assert Tally().figures() == {"turns": 0, "episodes": 0, "failed": 0}


def test_a_folder_without_an_agent_is_told(tmp_path: Any) -> None:
    with pytest.raises(RapportError, match=r"holds no finished agent: wanted world\.json"):
        load_world(str(tmp_path))
