"""An agent's episodes as offline data: what it saw, did and got, in a form that RLlib reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_evaluation.offline import EPISODES, TURNS, EpisodeKeeper, as_box, gather, read_spaces
from rapport.ray_jobs.agent_evaluation.playing import counts, play
from rapport.simulator.agent_space import read_actions
from rapport.simulator.config import AgentEnvConfig
from rapport.simulator.recording import DialogueRecorder, read_recording
from rapport.simulator.task import load_task
from tests.ray_jobs.agent_evaluation.toy import F, N, Z, toy_player, toy_policy
from tests.simulator.toy_dialogue import RATE_HZ, toy_services


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of five episodes in all, gathered, beside what was recorded of them."""
    folder = tmp_path_factory.mktemp("exported")
    task = load_task("cafe_corner")
    for shard, episodes in enumerate((3, 2)):
        keeper = EpisodeKeeper(toy_policy().layout, 2.5)
        player = toy_player(task, toy_services(task, otherwise="stay"), rows=2, keeper=keeper)
        with DialogueRecorder(str(folder / "recorded"), rate_hz=RATE_HZ, media=0) as recorder:
            play(player, lambda step: [], [recorder], shard, counts(episodes, 2), keeper)
        keeper.write(str(folder / f"shard{shard}"), (TURNS, EPISODES))
    gather([str(folder / "shard0"), str(folder / "shard1")], str(folder / "offline"), (TURNS, EPISODES))
    return folder


def test_turns_are_those_that_were_held(exported: Path) -> None:
    turns = pq.read_table(exported / "offline" / TURNS).to_pylist()
    recorded = {(turn["episode"], turn["turn"] - 1): turn for turn in read_recording(str(exported / "recorded")).turns}
    assert {(turn["eps_id"], turn["t"]) for turn in turns} == set(recorded)
    for turn in turns:
        held = recorded[turn["eps_id"], turn["t"]]
        assert turn["rewards"] == pytest.approx(held["reward"])
        assert (turn["terminateds"], turn["truncateds"]) == (held["terminated"], held["truncated"])
        assert turn["obs"][:N] == pytest.approx(held["internal_state"])
        assert (turn["actions"][0] > 0) == (held["chosen"] == 1)
        assert len(turn["new_obs"]) == N + 2 * F


def test_the_next_observation_of_a_turn_is_that_of_the_next_turn(exported: Path) -> None:
    episodes = pq.read_table(exported / "offline" / EPISODES).to_pylist()
    assert len(episodes) == 5
    for episode in episodes:
        assert len(set(episode["eps_id"])) == 1
        assert episode["t"] == list(range(len(episode["t"])))
        assert episode["new_obs"][:-1] == episode["obs"][1:]
        assert episode["terminateds"][-1] or episode["truncateds"][-1]


def test_an_exported_action_does_the_same_in_an_environment_of_boxes() -> None:
    random = np.random.default_rng(0)
    for pictures in (1, 2, 4):
        images, sentences = random.integers(0, pictures, 20), random.uniform(-3, 3, (20, Z)).astype(np.float32)
        seen = random.normal(size=(20, pictures, F)).astype(np.float32)
        box = as_box(images, sentences, pictures, 2.5)
        assert np.abs(box).max() <= 1
        found = read_actions(AgentEnvConfig(actions="box"), box, seen, Z)
        meant = read_actions(AgentEnvConfig(), {"image": images, "sentence": sentences}, seen, Z)
        assert np.array_equal(found.pictures, meant.pictures)
        assert np.allclose(found.sentences, meant.sentences, atol=1e-6)


def test_spaces_hold_what_was_exported(exported: Path) -> None:
    observation, action = read_spaces(str(exported / "offline"))
    for turn in pq.read_table(exported / "offline" / TURNS).to_pylist():
        assert observation.contains(np.array(turn["obs"], np.float32))
        assert action.contains(np.array(turn["actions"], np.float32))
    with pytest.raises(RapportError, match="holds no offline data"):
        read_spaces(str(exported))


def test_episodes_that_a_service_broke_off_are_left_out() -> None:
    class Step:
        def __init__(self, seed: str, failed: str) -> None:
            self.over, self.info = True, {"seed": seed, "failed": failed}

    keeper = EpisodeKeeper(toy_policy().layout, 2.5)
    numbers = np.zeros((2, N + 2 * F), np.float32)
    keeper.take(np.array([True, True]), numbers, np.zeros(2, int), np.zeros((2, Z)), np.zeros(2), np.ones(2), np.zeros(2), numbers)
    keeper.close_rows(np.array([True, True]), [Step("good", ""), Step("bad", "ears: gone")])  # type: ignore[list-item]
    assert [seed for seed, _ in keeper._done] == ["good"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", [TURNS, EPISODES])
def test_rllibs_offline_algorithms_read_it(exported: Path, form: str, ray_cluster: dict[str, float]) -> None:
    import ray
    from ray.rllib.algorithms.bc import BCConfig
    from ray.rllib.algorithms.marwil import MARWILConfig
    from ray.rllib.core import DEFAULT_MODULE_ID
    from ray.rllib.offline.offline_prelearner import OfflinePreLearner
    from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
    from ray.rllib.utils import unflatten_dict

    folder, turns = str(exported / "offline"), pq.read_table(exported / "offline" / TURNS).num_rows
    spaces = read_spaces(folder)
    config: Any = (BCConfig if form == TURNS else MARWILConfig)()
    config = (
        config.environment(observation_space=spaces[0], action_space=spaces[1])
        .offline_data(input_=[f"{folder}/{form}"], input_read_sample_batches=form == EPISODES, dataset_num_iters_per_learner=1)
        .env_runners(num_env_runners=0)
        .learners(num_learners=0)
        .training(train_batch_size_per_learner=turns)
    )
    config.validate()
    learner = config.build_learner(spaces={DEFAULT_MODULE_ID: spaces})
    config = config.rl_module(rl_module_spec=config.get_multi_rl_module_spec(spaces={DEFAULT_MODULE_ID: spaces}))
    reader = OfflinePreLearner(config=config, spaces=spaces, module_state=learner.module.get_state())
    # As an algorithm reads: Ray Data makes batches, and the reader the turns that a learner is given.
    batch = unflatten_dict(reader(ray.data.read_parquet(f"{folder}/{form}").take_batch(turns)))
    read = batch[DEFAULT_MODULE_ID]
    assert np.isfinite(np.asarray(read["obs"])).all()
    assert np.asarray(read["actions"]).shape[-1] == spaces[1].shape[0]
    figures = learner.update(batch=MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(read)}, env_steps=turns))
    assert np.isfinite(float(np.asarray(figures[DEFAULT_MODULE_ID]["total_loss"])))
