"""An agent's environments: vectors in and out, one utterance a turn and none for rows that begin anew."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.wrappers.vector import DictInfoToList

from rapport.simulator.agent_env import AgentEnv, AgentVectorEnv, BodyError
from rapport.simulator.agent_space import AgentActionError, Numbers
from rapport.simulator.config import AgentEnvConfig, SimulatorConfig
from rapport.simulator.requests import Services
from rapport.simulator.spaces import SpaceError
from rapport.simulator.task import Task, load_task
from tests.simulator.published import load_published, wrap_task_env
from tests.simulator.toy_dialogue import TEMPLATE, ToyBody, counts, toy_body, toy_services

N, P, F, Z = 2, 2, 3, 2


@pytest.fixture
def task() -> Task:
    return load_task("cafe_corner")


@pytest.fixture
def services(task: Task) -> Services:
    return toy_services(task, otherwise="stay")


@pytest.fixture
def body(task: Task, services: Services) -> ToyBody:
    return toy_body(task, services)


def open_rows(task: Task, services: Services, body: Any, rows: int = 3, actions: Any = "factored", **agent: Any) -> AgentVectorEnv:
    return AgentVectorEnv(task, services, TEMPLATE, body, agent=AgentEnvConfig(actions=actions, **agent), num_envs=rows)


def factored(choices: list[int]) -> dict[str, np.ndarray]:
    return {"image": np.array(choices), "sentence": np.zeros((len(choices), Z), np.float32)}


def test_observations_are_numbers_then_features_in_the_order_of_the_offer(task: Task, services: Services, body: ToyBody) -> None:
    env = open_rows(task, services, body)
    observations, _ = env.reset(seed=2)
    assert observations.shape == (3, N + P * F)
    assert observations.dtype == np.float32
    assert env.observation_space.contains(observations)
    for row, step in enumerate(env.rows.transitions):
        assert np.allclose(observations[row, :N], step.next.internal_state)
        assert np.allclose(observations[row, N:].reshape(P, F), body.see(step.next.dialogue_scene.images))


def test_the_chosen_picture_is_asked_for_and_told(task: Task, services: Services, body: ToyBody) -> None:
    env = open_rows(task, services, body)
    _, before = env.reset(seed=2)
    _, _, _, _, info = env.step(factored([0, 1, 1]))
    assert info["chosen"].tolist() == [0, 1, 1]
    for row, choice in enumerate((0, 1, 1)):
        assert info["chosen_name"][row] == info["item_name"][row] == before["offered"][row][choice]
    _, rewards, terminated, _, info = env.step(factored([0, 0, 0]))
    assert terminated.all()
    assert (rewards > 0).all()


def test_rows_that_begin_anew_say_nothing_and_their_actions_are_not_looked_at(task: Task, services: Services, body: ToyBody) -> None:
    env = open_rows(task, services, body)
    env.reset(seed=2)
    env.step(factored([0, 0, 0]))
    env.step(factored([0, 0, 0]))
    made, said = counts(services), body.said
    actions = factored([7, 0, 0])
    actions["sentence"][:] = np.nan
    observations, rewards, terminated, truncated, info = env.step(actions)
    after = counts(services)
    assert (body.said, after["ears"], after["judge"]) == (said, made["ears"], made["judge"])
    assert not np.any([rewards, terminated, truncated])
    assert "chosen" not in info
    assert info["seed"].tolist() == ["2-0-0-1", "2-0-1-1", "2-0-2-1"]
    assert observations[:, N:].any(axis=1).all()


def test_the_ways_to_act_come_to_the_same(task: Task, services: Services, body: ToyBody) -> None:
    told = []
    for kind in ("factored", "box", "feature"):
        env = open_rows(task, services, body, actions=kind)
        observations, _ = env.reset(seed=2)
        seen = observations[:, N:].reshape(3, P, F)
        actions: Any = {
            "factored": factored([1, 0, 1]),
            "box": np.array([[0.4, 0, 0], [-0.1, 0, 0], [1, 0, 0]], np.float32),
            "feature": np.concatenate([seen[[0, 1, 2], [1, 0, 1]], np.zeros((3, Z), np.float32)], axis=1),
        }[kind]
        assert env.action_space.contains(actions)
        step = env.step(actions)
        told.append((step[:4], step[4]["chosen"], step[4]["item_name"]))
    assert data_equivalence(told[0], told[1], exact=True)
    assert data_equivalence(told[0], told[2], exact=True)


def test_sentences_are_scaled_and_clipped(task: Task, services: Services, body: ToyBody) -> None:
    spoken: list[np.ndarray] = []

    class Listening(ToyBody):
        def say(self, features: np.ndarray, sentences: np.ndarray) -> list[np.ndarray]:
            spoken.append(sentences)
            return body.say(features, sentences)

    listening = Listening(dict.fromkeys(["pen"], np.zeros((4, 4, 3), np.uint8)))
    for kind, action, expected in (
        ("factored", {"image": np.array([0]), "sentence": np.array([[1.0, -9.0]])}, [1.0, -2.5]),
        ("box", np.array([[0.0, 1.0, -0.2]]), [2.5, -0.5]),
        ("feature", np.array([[0.1, 0.1, 0.1, 9.0, 0.3]]), [2.5, 0.3]),
    ):
        env = open_rows(task, services, listening, 1, kind)
        env.reset()
        env.step(action)
        assert np.allclose(spoken[-1], [expected])


def test_a_place_without_a_picture_is_silence(task: Task, services: Services, body: ToyBody) -> None:
    env = AgentVectorEnv(task, services, TEMPLATE, body, SimulatorConfig(offer_size=3), num_envs=1)
    observations, info = env.reset()  # the corners are two
    assert observations.shape == (1, N + 3 * F)
    assert not observations[0, -F:].any()
    *_, info = env.step(factored([2]))
    assert body.said == 0
    assert info["silent"][0]
    assert (info["chosen"][0], info["chosen_name"][0], info["transcript"][0]) == (2, "", "")


def test_pictures_are_looked_at_once(task: Task, services: Services, body: ToyBody) -> None:
    env = AgentVectorEnv(task, services, TEMPLATE, body, SimulatorConfig(images_per_item=2), num_envs=8)
    env.reset(seed=0)
    for turn in range(60):
        env.step(factored([turn % 2] * 8))
    assert body.seen <= len(task.scenario.items) * (1 + 2)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("actions", ["factored", "box", "feature"])
def test_the_single_environment_passes_gymnasiums_own_check(task: Task, services: Services, body: ToyBody, actions: Any) -> None:
    check_env(AgentEnv(task, services, TEMPLATE, body, agent=AgentEnvConfig(actions=actions)))


def test_a_lone_environment_equals_its_row(task: Task, services: Services, body: ToyBody) -> None:
    vector: Any = DictInfoToList(open_rows(task, services, body))
    lone = AgentEnv(task, services, TEMPLATE, body, row=2)
    observations, infos = vector.reset(seed=5)
    told: tuple[Any, ...] = lone.reset(seed=5)
    over = False
    for turn in range(9):
        assert np.array_equal(observations[2], told[0])
        assert infos[2] == told[-1]
        observations, rewards, terminated, truncated, infos = vector.step(factored([turn % 2] * 3))
        told = lone.reset() if over else lone.step({"image": turn % 2, "sentence": np.zeros(Z, np.float32)})
        over = bool(terminated[2] or truncated[2])
        if len(told) == 5:
            assert (rewards[2], terminated[2], truncated[2]) == told[1:4]


def test_states_are_saved_and_episodes_replayed(task: Task, services: Services, body: ToyBody) -> None:
    env = open_rows(task, services, body)
    env.reset(seed=2)
    state = env.get_state()
    expected = env.reset()
    other = open_rows(task, services, body)
    other.set_state(state)
    assert data_equivalence(other.reset(seed=9), expected, exact=True)
    lone = AgentEnv(task, services, TEMPLATE, body)
    observation, _ = lone.reset(options={"episode": expected[1]["seed"][1]})
    assert np.array_equal(observation, expected[0][1])
    with pytest.raises(gym.error.ResetNeeded):
        AgentEnv(task, services, TEMPLATE, body).step({"image": 0, "sentence": np.zeros(Z)})


def test_numbers_are_scaled_by_their_bounds_or_as_told() -> None:
    space = gym.spaces.Dict(
        {
            "colour": gym.spaces.Box(0, 255, (2,), np.float32),
            "free": gym.spaces.Box(-np.inf, np.inf, (), np.float64),
            "picture": gym.spaces.Box(0, 255, (4, 4, 3), np.uint8),
            "wide": gym.spaces.Dict({"inner": gym.spaces.Box(-10_000, 10_000, (1,), np.float32)}),
        }
    )
    numbers = Numbers(space, 0.5)
    observation = {
        "colour": np.array([0, 255], np.float32),
        "free": np.array(3.0),
        "picture": np.zeros((4, 4, 3), np.uint8),
        "wide": {"inner": np.array([8], np.float32)},
    }
    assert numbers.width == 4
    assert numbers.read([observation]).tolist() == [[-1, 1, 1.5, 4]]
    with pytest.raises(SpaceError, match=r"wide\.inner is Discrete"):
        Numbers(gym.spaces.Dict({"wide": gym.spaces.Dict({"inner": gym.spaces.Discrete(3)})}), 1.0)


def test_numbers_come_through_the_tasks_wrapper_where_that_is_set(shared_data: Path) -> None:
    seen = []

    class Tenfold(gym.ObservationWrapper):
        def observation(self, observation: Any) -> Any:
            return observation | {"state": observation["state"] * 10}

    for wrap, wrapped in ((wrap_task_env, True), (Tenfold, True), (Tenfold, False)):
        task = load_published(shared_data, "food_task", wrap=wrap)
        body = ToyBody({"apple": np.zeros((4, 4, 3), np.uint8)})
        env = open_rows(task, toy_services(task), body, state_scale=1 / 255, wrapped=wrapped)
        observations, _ = env.reset(seed=1)
        seen.append(observations)
        assert observations.shape == (3, 3 + P * F)
    plain, tenfold, without = seen
    assert 0 < plain[:, :3].max() <= 1
    assert np.allclose(tenfold[:, :3], plain[:, :3] * 10)
    assert np.array_equal(without, plain)


def test_a_single_environment_suits_stable_baselines(task: Task, services: Services, body: ToyBody) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(AgentEnv(task, services, TEMPLATE, body, agent=AgentEnvConfig(actions="box")), warn=False)


@pytest.mark.parametrize(
    ("kind", "action", "tells"),
    [
        ("factored", np.zeros((3, 3)), "wanted a dictionary with image"),
        ("factored", {"image": np.array([0, 2, 0]), "sentence": np.zeros((3, Z))}, "from 0 to 1"),
        ("factored", {"image": np.zeros(3, int), "sentence": np.zeros((3, 5))}, r"\(3, 5\): wanted \(3, 2\)"),
        ("box", np.zeros((3, 7)), r"wanted \(3, 3\)"),
        ("box", np.full((3, 3), np.nan), "diverged"),
        ("feature", np.zeros((3, 4)), r"wanted \(3, 5\)"),
    ],
)
def test_actions_outside_the_space_are_refused(task: Task, services: Services, body: ToyBody, kind: Any, action: Any, tells: str) -> None:
    env = open_rows(task, services, body, actions=kind)
    env.reset()
    with pytest.raises(AgentActionError, match=tells):
        env.step(action)


def test_a_body_that_does_not_fit_is_refused(task: Task, services: Services, body: ToyBody) -> None:
    with pytest.raises(BodyError, match="set the simulator's sampling_rate_hz to 22050"):
        AgentVectorEnv(task, services, TEMPLATE, body, SimulatorConfig(sampling_rate_hz=16_000), num_envs=1)

    class Mute(ToyBody):
        def say(self, features: np.ndarray, sentences: np.ndarray) -> list[np.ndarray]:
            return []

    env = open_rows(task, services, Mute({"pen": np.zeros((4, 4, 3), np.uint8)}))
    env.reset()
    with pytest.raises(BodyError, match="0 utterances for 3"):
        env.step(factored([0, 0, 0]))
