"""RLlib's env runner takes the vector environment as its own: resets are no steps, and infos reach episodes."""

from typing import Any

import numpy as np
import pytest

from rapport.simulator.agent_env import AgentVectorEnv
from rapport.simulator.requests import Services
from rapport.simulator.task import load_task
from tests.simulator.toy_dialogue import TEMPLATE, counts, toy_body, toy_services

OPENED: list[Services] = []


def open_rows(context: dict[str, Any]) -> AgentVectorEnv:
    task = load_task("cafe_corner")
    services = toy_services(task)
    OPENED.append(services)
    return AgentVectorEnv(task, services, TEMPLATE, toy_body(task, services), num_envs=context["num_envs"])


def test_an_env_runner_samples_whole_dialogues(ray_cluster: Any) -> None:
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
    from ray.tune.registry import register_env

    register_env("toy-dialogues", open_rows)
    config = (
        PPOConfig()
        .environment("toy-dialogues")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4, gym_env_vectorize_mode="vector_entry_point", rollout_fragment_length=9)
        .debugging(seed=3)
    )
    runner = SingleAgentEnvRunner(config=config)
    services = OPENED[-1]
    try:
        before = counts(services)
        episodes = runner.sample(num_timesteps=40, random_actions=True)
        after = counts(services)
    finally:
        runner.stop()
    done = [episode for episode in episodes if episode.is_done]
    assert done
    assert {len(episode) for episode in done} == {2}
    steps = sum(len(episode) for episode in episodes)
    assert steps >= 40
    assert after["judge"] - before["judge"] == steps
    for episode in done:
        infos = episode.get_infos()
        assert [info["talk_step"] for info in infos[1:]] == [1, 2]
        assert len({info["seed"] for info in infos}) == 1
        assert episode.get_return() == pytest.approx(sum(episode.get_rewards()))
        assert np.array_equal(episode.get_observations(1)[:2], episode.get_observations(0)[:2])
    seeds = [episode.get_infos(0)["seed"] for episode in done]
    assert len(set(seeds)) == len(seeds)
    assert seeds[0].startswith("3-0-")
