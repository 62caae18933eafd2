"""Dialogues that are held together come out row by row as they would alone, with one batch a stage."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.wrappers.vector import DictInfoToList

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.env import open_env
from rapport.simulator.requests import Services
from rapport.simulator.row_views import WrapperError
from rapport.simulator.rows import StateError
from rapport.simulator.spaces import SpaceError
from rapport.simulator.task import Task, load_task
from rapport.simulator.utterance import ActionError
from rapport.simulator.vector_env import DialogueVectorEnv, stack_infos
from tests.simulator.published import load_published, wrap_task_env
from tests.simulator.toy_dialogue import TEMPLATE, counted, counts, speech, toy_services, toy_task


def open_toys(
    task: Task | None = None, rows: int = 3, *, services: Services | None = None, reseeds: bool = True, **config: Any
) -> DialogueVectorEnv:
    task = task or toy_task()
    services = services or toy_services(task, otherwise="stay")
    return DialogueVectorEnv(task, services, TEMPLATE, SimulatorConfig(**config), num_envs=rows, reseeds=reseeds)


def words_for(row: int, turn: int, offered: tuple[str, ...] | None) -> str:
    """Now the one item, now the other, now nothing, now nonsense."""
    choices = [*(name.lower().replace("_", " ") for name in offered or ()), "", "er", "street"]
    return choices[(row + turn) % len(choices)]


def row_of(batch: Any, row: int) -> Any:
    return {key: row_of(part, row) for key, part in batch.items()} if isinstance(batch, dict) else np.asarray(batch[row])


def assert_rows_equal_lone_environments(task: Task, rows: int, turns: int, config: SimulatorConfig) -> None:
    services = toy_services(task, otherwise="stay")
    vector: Any = DictInfoToList(DialogueVectorEnv(task, services, TEMPLATE, config, num_envs=rows, seed=4, worker=2))
    lone = [open_env(task, services, TEMPLATE, config, seed=4, worker=2, row=row) for row in range(rows)]
    observations, infos = vector.reset(seed=11)
    alone: list[tuple[Any, ...]] = [env.reset(seed=11) for env in lone]
    over = [False] * rows
    ended = 0
    for turn in range(turns):
        for row in range(rows):
            assert data_equivalence(row_of(observations, row), alone[row][0], exact=True)
            assert infos[row] == alone[row][-1]
        said = [
            speech(words) if (words := words_for(row, turn, infos[row]["offered"])) else np.zeros(50, np.float32) for row in range(rows)
        ]
        observations, rewards, terminated, truncated, infos = vector.step(said)
        for row in range(rows):
            if over[row]:
                alone[row] = lone[row].reset()
                assert (rewards[row], terminated[row], truncated[row]) == (0, False, False)
            else:
                alone[row] = lone[row].step(said[row])
                assert (rewards[row], terminated[row], truncated[row]) == alone[row][1:4]
        over = (terminated | truncated).tolist()
        ended += sum(over)
    assert ended > rows


@pytest.mark.parametrize("name", ["food_task", "food_corner_task"])
def test_rows_equal_lone_environments_in_the_published_tasks_and_wrapper(shared_data: Path, name: str) -> None:
    task = load_published(shared_data, name, wrap=wrap_task_env)
    assert_rows_equal_lone_environments(task, 3, 8, SimulatorConfig())


@pytest.mark.parametrize(
    "config", [SimulatorConfig(), SimulatorConfig(audio=True, audio_observation_s=0.2), SimulatorConfig(faithful=True, images_per_item=0)]
)
def test_rows_equal_lone_environments(config: SimulatorConfig) -> None:
    assert_rows_equal_lone_environments(load_task("cafe_corner"), 4, 10, config)
    assert_rows_equal_lone_environments(toy_task(), 4, 14, config)


def test_each_stage_is_one_batch_also_for_rows_that_are_ahead_of_others() -> None:
    services = toy_services(toy_task())
    env = open_toys(rows=4, services=services)
    _, info = env.reset(seed=1)
    asked = [counted(services, kind) for kind in ("ears", "judge", "pictures")]
    before = [len(service.batches) for service in asked]
    env.step([speech("er"), np.zeros(9, np.float32), info["offered"][2][0], speech("street")])
    assert [len(service.batches) - n for service, n in zip(asked, before, strict=True)] == [1, 1, 1]
    assert [len(service.batches[-1]) for service in asked] == [2, 4, 6]


def test_resetting_rows_are_neither_heard_nor_judged() -> None:
    services = toy_services(toy_task())
    env = open_toys(rows=2, services=services)
    env.reset(seed=1)
    _, _, terminated, _, _ = env.step([speech("street"), speech("er")])
    assert terminated.tolist() == [True, False]
    before = counts(services)
    observations, rewards, terminated, truncated, infos = env.step([None, speech("er")])
    after = counts(services)
    assert {kind: after[kind] - before[kind] for kind in after} == {"judge": 1, "ears": 1, "voice": 0, "pictures": 4}
    assert (rewards[0], terminated[0], truncated[0]) == (0, False, False)
    assert infos["seed"].tolist() == ["1-0-0-1", "1-0-1-0"]
    assert infos["_transcript"].tolist() == [False, True]
    assert observations["shown"].tolist() == [2, 2]


def test_rows_have_unrelated_episodes_and_named_ones_are_replayed() -> None:
    env = open_toys(rows=6)
    _, info = env.reset(seed=1)
    assert len(set(info["offered"].tolist())) > 2
    _, again = env.reset(options={"episodes": list(reversed(info["seed"].tolist()))})
    assert again["offered"].tolist() == list(reversed(info["offered"].tolist()))
    with pytest.raises(StateError, match="1 episodes were named for 6 rows"):
        env.reset(options={"episodes": ["1-0-0-0"]})


def test_a_runner_that_seeds_every_sample_can_be_led_on() -> None:
    assert [open_toys().reset(seed=1)[1]["seed"][0] for _ in range(2)] == ["1-0-0-0"] * 2
    env = open_toys(reseeds=False)
    assert [env.reset(seed=1)[1]["seed"][0] for _ in range(3)] == ["1-0-0-0", "1-0-0-1", "1-0-0-2"]


def test_a_saved_state_goes_on_where_it_was() -> None:
    env = open_toys()
    env.reset(seed=1)
    env.step(["street", "er", "er"])
    env.step(["er"] * 3)
    state = env.get_state()
    expected = env.reset()[1]["seed"].tolist()
    other = open_toys()
    other.set_state(state)
    assert other.reset(seed=1)[1]["seed"].tolist() == expected == ["1-0-0-2", "1-0-1-1", "1-0-2-1"]
    with pytest.raises(StateError, match="3 rows, for 2 rows"):
        open_toys(rows=2).set_state(state)


def test_a_refused_action_names_its_row_and_no_turn_is_held() -> None:
    env = open_toys()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(["er"] * 3)
    env.reset(seed=1)
    env.step(["street", "er", "er"])
    before = env.get_state()
    with pytest.raises(ActionError, match="row 2: action has 9 of 9 samples"):
        env.step([None, "er", np.full(9, np.nan, np.float32)])
    with pytest.raises(ActionError, match="2 actions for 3 rows"):
        env.step(["er"] * 2)
    assert env.get_state() == before
    *_, info = env.step([None, "er", "er"])
    assert info["seed"][0] == "1-0-0-1"
    assert info["talk_step"].tolist()[1:] == [2, 2]


def test_spaces_hold_what_the_environment_gives_and_takes() -> None:
    env = open_toys(load_task("cafe_corner"))
    observations, _ = env.reset(seed=1)
    assert env.observation_space.contains(observations)
    assert env.metadata["autoreset_mode"] is gym.vector.AutoresetMode.NEXT_STEP
    observations, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observations)


class Louder(gym.ActionWrapper):
    def action(self, action: np.ndarray) -> np.ndarray:
        return action * 2


class Sly(gym.Wrapper):
    def step(self, action: Any) -> Any:
        return self.env.step(action * 2)


class Twice(gym.Wrapper):
    def step(self, action: Any) -> Any:
        self.env.step(action)
        return self.env.step(action)


class Brief(gym.Wrapper):
    """Ends every episode after a turn, doubles rewards and counts its resets."""

    resets = 0

    def reset(self, **kwargs: Any) -> Any:
        self.resets += 1
        observation, info = self.env.reset(**kwargs)
        return observation, info | {"resets": self.resets}

    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = self.env.step(action)
        return observation, 2 * float(reward), terminated, True, info


def test_action_wrappers_shape_what_is_heard() -> None:
    env = open_toys(toy_task(wrap=Louder))
    env.reset()
    *_, info = env.step([np.full(20, 0.6, np.float32)] * 3)
    assert info["clipped"].tolist() == [20, 20, 20]


@pytest.mark.parametrize(("wrapper", "tells"), [(Sly, "ActionWrapper"), (Twice, "more than once")])
def test_wrappers_that_cannot_be_followed_are_refused(wrapper: Any, tells: str) -> None:
    env = open_toys(toy_task(wrap=wrapper))
    env.reset()
    with pytest.raises(WrapperError, match=tells):
        env.step([speech("er")] * 3)


def test_wrappers_change_rewards_ends_and_infos_of_their_own_row() -> None:
    env = open_toys(toy_task(wrap=Brief))
    _, info = env.reset()
    said = [info["offered"][0][0].lower(), "er", "er"]
    _, rewards, _, truncated, _ = env.step(said)
    assert rewards.tolist() == [2, 0, 0]
    assert truncated.all()
    *_, info = env.step([None] * 3)
    assert info["resets"].tolist() == [2, 2, 2]


def test_an_observation_that_cannot_be_stacked_is_told() -> None:
    class Growing(gym.ObservationWrapper):
        def observation(self, observation: Any) -> Any:
            return observation | {"needs": np.zeros(2 if observation["shown"] else 3, np.float64)}

    env = open_toys(toy_task(wrap=Growing))
    env.reset()
    with pytest.raises(SpaceError, match="mend wrap_task_env"):
        env.step(["street", "er", "er"])


def test_infos_are_stacked_with_masks() -> None:
    stacked = stack_infos([{"a": 1, "t": ("x", "y")}, {"a": 2, "b": "z"}])
    assert stacked["a"].dtype == np.int64
    assert stacked["t"].tolist() == [("x", "y"), None]
    assert stacked["_b"].tolist() == [False, True]
    assert stack_infos([]) == {}
