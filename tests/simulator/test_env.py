"""One dialogue is a sound Gymnasium environment, and each of its episodes follows from its seed alone."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence

from rapport.simulator.asking import ServiceError
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.env import DialogueEnv, open_env
from rapport.simulator.rules import TaskFunctionError
from rapport.simulator.seeding import SeedError
from rapport.simulator.spaces import SpaceError
from rapport.simulator.task import Task, load_task
from rapport.simulator.utterance import ActionError
from tests.simulator.example_project import write_project
from tests.simulator.published import load_published, wrap_task_env
from tests.simulator.toy_dialogue import TEMPLATE, TOY_FUNCTIONS, Answers, counted, counts, speech, toy_services, toy_task


def open_toy(
    task: Task | None = None, *, seed: int = 0, row: int = 0, services: dict[str, Any] | None = None, **config: Any
) -> DialogueEnv:
    task = task or toy_task()
    return DialogueEnv(
        task, toy_services(task, otherwise="stay", **(services or {})), TEMPLATE, SimulatorConfig(**config), seed=seed, row=row
    )


def play(env: gym.Env, turns: int, **reset: Any) -> list[tuple[Any, ...]]:
    """Whatever an agent would be told while it asks for what is shown first, and begins anew where an episode ends."""
    told: list[tuple[Any, ...]] = [env.reset(**reset)]
    for _ in range(turns):
        name = told[-1][-1]["offered"][0]
        told.append(env.step(speech(name.lower().replace("_", " "))))
        if told[-1][2] or told[-1][3]:
            told.append(env.reset())
    return told


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "config", [SimulatorConfig(), SimulatorConfig(audio=True, audio_observation_s=0.5), SimulatorConfig(faithful=True)]
)
def test_the_environment_passes_gymnasiums_own_check(config: SimulatorConfig) -> None:
    task = load_task("cafe_corner")
    check_env(DialogueEnv(task, toy_services(task, otherwise="stay"), TEMPLATE, config))


def test_the_same_seed_gives_the_same_trajectory_whatever_the_global_generators_hold() -> None:
    told = []
    for noise in range(2):
        random.seed(noise)
        np.random.seed(noise)
        told.append(play(open_toy(), 12, seed=5))
    assert data_equivalence(told[0], told[1], exact=True)
    assert not data_equivalence(told[0], play(open_toy(), 12, seed=6))


def test_episodes_leave_the_global_generators_alone() -> None:
    np.random.seed(4)
    random.seed(4)
    expected = np.random.rand(), random.random()
    np.random.seed(4)
    random.seed(4)
    play(open_toy(), 5, seed=5)
    assert (np.random.rand(), random.random()) == expected


def test_an_episode_is_replayed_from_its_logged_seed_alone() -> None:
    told = play(open_toy(seed=9), 8)
    last = max(i for i, step in enumerate(told) if len(step) == 2)
    episode = told[last][1]["seed"]
    assert episode != "9-0-0-0"
    other = open_toy(seed=1)
    other.reset()
    again = play(other, len(told) - last - 1, options={"episode": episode})
    assert data_equivalence(told[last:], again[: len(told) - last], exact=True)


def test_a_replay_moves_no_count() -> None:
    env, undisturbed = open_toy(), open_toy()
    env.reset(seed=3)
    env.reset(options={"episode": "8-0-0-4"})
    undisturbed.reset(seed=3)
    assert env.reset()[1]["seed"] == undisturbed.reset()[1]["seed"] == "3-0-0-1"
    with pytest.raises(SeedError, match="master-worker-row-episode"):
        env.reset(options={"episode": "the third"})


def test_a_saved_state_goes_on_where_it_was_also_when_a_runner_seeds() -> None:
    env = open_toy()
    play(env, 6, seed=3)
    state = env.get_state()
    expected = play(env, 6)
    resumed = open_toy(seed=77)
    resumed.set_state(state)
    assert data_equivalence(play(resumed, 6, seed=3), expected, exact=True)
    assert resumed.reset(seed=3)[1]["seed"] == "3-0-0-0"


def test_steps_outside_an_episode_are_refused() -> None:
    env = open_toy(toy_task(max_step=1))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(speech("pen"))
    with pytest.raises(gym.error.ResetNeeded):
        _ = env.transition
    env.reset()
    env.step(speech("pen"))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(speech("pen"))


@pytest.mark.parametrize("action", [3, np.zeros(9, np.int16), np.full(9, np.nan, np.float32)])
def test_an_action_that_is_not_speech_is_refused_and_the_dialogue_goes_on(action: Any) -> None:
    env = open_toy()
    _, info = env.reset()
    with pytest.raises(ActionError, match="action"):
        env.step(action)
    assert env.step(info["offered"][0])[4]["talk_step"] == 1


def test_the_transition_holds_the_states_that_the_task_saw() -> None:
    env = open_toy()
    env.reset()
    before = env.transition.next
    waveform = speech("cup")
    env.step(waveform)
    assert env.transition.previous is before
    heard: Any = env.transition.action
    assert np.array_equal(heard, waveform)
    assert env.transition.info["transcript"] == "cup"


def test_opening_lines_are_observed_where_that_is_set() -> None:
    line = np.full(30_000, 0.25, np.float32)
    env = open_toy(services={"voice": Answers(lambda request: line[: 3_000 * len(request.voice)])}, audio=True, audio_observation_s=1)
    observation, _ = env.reset()
    assert observation["audio"].shape == (22_050,)
    assert np.count_nonzero(observation["audio"]) == 9_000
    assert env.observation_space.contains(observation)


def test_an_observation_without_room_for_audio_is_refused() -> None:
    bare: Any = lambda state: state.internal_state  # noqa: E731
    task = toy_task(replace(TOY_FUNCTIONS, observe=bare))
    with pytest.raises(TaskFunctionError, match="unset audio_observation_s"):
        open_toy(task, audio=True, audio_observation_s=1)
    with pytest.raises(ValueError, match="wanted audio on"):
        SimulatorConfig(audio_observation_s=1)


def test_an_observation_that_changes_its_shape_is_refused() -> None:
    env = open_toy(toy_task(replace(TOY_FUNCTIONS, observe=lambda state: {"seen": np.zeros(1 + len(state.dialogue_scene.images))})))
    env.reset()
    with pytest.raises(SpaceError, match=r"\(1,\): wanted float64 \(3,\)"):
        env.step("street")


def test_the_tasks_wrapper_is_applied(shared_data: Path) -> None:
    task = load_published(shared_data, "food_corner_task", wrap=wrap_task_env)
    env = open_env(task, toy_services(task), TEMPLATE, SimulatorConfig())
    observation, info = env.reset(seed=1)
    assert observation["leftimage"].shape == (3, 224, 224)
    assert isinstance(env.unwrapped, DialogueEnv)
    observation, *_, info = env.step(info["offered"][0])
    assert info["item_name"]
    assert open_env(toy_task(), toy_services(toy_task()), TEMPLATE).unwrapped.action_space.contains(speech("pen"))


def test_the_published_example_runs_in_its_wrapper(tmp_path: Path) -> None:
    task = load_task(write_project(tmp_path) / "tasks" / "cafe")
    env = open_env(task, toy_services(task), TEMPLATE, SimulatorConfig(height=512, width=512))
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    observation, reward, terminated, _, info = env.step(speech(f"may i get {info['offered'][1].replace('_', ' ')}"))
    assert env.observation_space.contains(observation)
    assert (float(reward) > 0, terminated) == (True, True)


class Dying:
    """Answers until it is told to die."""

    version, deterministic = "dying", True

    def __init__(self, service: Any, alive_again_after: float = float("inf")) -> None:
        self.service, self.dead, self.deaths, self.alive_again_after = service, False, 0, alive_again_after

    def batch(self, requests: Sequence[Any]) -> list[Any]:
        if self.dead:
            self.deaths += 1
            if self.deaths <= self.alive_again_after:
                raise ConnectionResetError("actor died")
        return self.service.batch(requests)


@pytest.mark.parametrize("kind", ["judge", "ears"])
def test_a_service_that_dies_mid_episode_is_asked_again(kind: str) -> None:
    task = toy_task()
    dying = Dying(getattr(toy_services(task), kind), alive_again_after=2)
    env = open_toy(task, services={kind: dying}, retries=2)
    env.reset()
    dying.dead = True
    assert env.step(speech("pen"))[4]["failed"] == ""
    assert dying.deaths == 3


@pytest.mark.parametrize("kind", ["judge", "ears"])
def test_a_service_that_stays_dead_marks_its_episodes_and_at_last_raises(kind: str) -> None:
    task = toy_task()
    dying = Dying(getattr(toy_services(task), kind))
    env = open_toy(task, services={kind: dying}, retries=1, failures_allowed=2)
    env.reset()
    dying.dead = True
    for _ in range(2):
        _, reward, terminated, truncated, info = env.step(speech("pen"))
        assert (reward, terminated, truncated) == (0.0, False, True)
        assert info["failed"] == f"{kind}: ConnectionResetError: actor died"
        env.reset()
    with pytest.raises(ServiceError, match=f"{kind}.*failed 3 batches in a row"):
        env.step(speech("pen"))


def test_an_environment_whose_pictures_cannot_be_had_does_not_open() -> None:
    def fail(request: Any) -> Any:
        raise OSError("no such model")

    with pytest.raises(ServiceError, match="no dialogue can begin: pictures: OSError: no such model"):
        open_toy(services={"pictures": Answers(fail)})


def test_evaluation_leaves_training_untouched() -> None:
    task = load_task("cafe_corner")
    services = toy_services(task)
    alone = play(DialogueEnv(task, services, TEMPLATE, seed=3), 8)
    train = DialogueEnv(task, services, TEMPLATE, seed=3)
    test = DialogueEnv(task, services, TEMPLATE, SimulatorConfig(mode="test"), seed=3)
    told: list[tuple[Any, ...]] = [train.reset()]
    for _ in range(8):
        play(test, 2)
        told.append(train.step(speech(told[-1][-1]["offered"][0].replace("_", " "))))
        if told[-1][2] or told[-1][3]:
            told.append(train.reset())
    assert data_equivalence(told, alone, exact=True)
    asked: list[Any] = counted(services, "pictures").asked
    assert {request.mode for request in asked} == {"train", "test"}


def test_the_lazy_environment_judges_once_a_turn_and_speaks_never() -> None:
    task = toy_task()
    services = toy_services(task)
    env = DialogueEnv(task, services, TEMPLATE)
    env.reset()
    for words in ("pen", "cup", "nothing"):
        env.step(speech(words))
    made = counts(services)
    assert (made["judge"], made["ears"], made["voice"]) == (3, 3, 0)
