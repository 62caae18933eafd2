"""The whole job at its smallest: real speech, drawn pictures, a body that hardly learned, and a few turns."""

import json
from pathlib import Path
from typing import Any

import pytest

from rapport.core.config import ConfigError, with_values
from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_training.config import TrainAgentConfig
from rapport.ray_jobs.agent_training.world import load_world, open_environment
from rapport.ray_jobs.train_agent import for_search, train

TINY: dict[str, Any] = {
    "task": "cafe",
    "data.pictures.train_per_folder": 1,
    "data.pictures.test_per_folder": 1,
    "data.speech.utterances": 1,
    "data.workers": 0,
    "body.hearing.clusters": 60,
    "body.image_to_units.width": 16,
    "body.image_to_units.layers": 1,
    "body.image_to_units.hidden": 16,
    "body.image_to_units.sentence_width": 2,
    "image_to_units.epochs": 2,
    "workers.cpus": 1,
    "simulator.images_per_item": 2,
    "learning.runners": 0,
    "learning.sessions": 4,
    "learning.turns": 48,
    "learning.evaluate_every": 1,
    "learning.evaluation_episodes": 8,
    "learning.save_every": 1,
    "learning.ppo.batch_size": 16,
    "learning.ppo.minibatch_size": 16,
}


class Heard:
    """A search's ear."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        self.told += metrics


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("agents"))


def config(root: str, **values: Any) -> TrainAgentConfig:
    return with_values(TrainAgentConfig(storage=root), TINY | values)


@pytest.fixture(scope="module")
def result(root: str, ray_cluster: Any) -> dict[str, Any]:
    heard: Any = Heard()
    found = train(config(root, name="first"), callbacks=[heard], quiet=True)
    assert [each["epoch"] for each in heard.told] == [1, 2, 3]
    assert all("mean_return" in each for each in heard.told)
    return found


@pytest.mark.slow
def test_it_ends_with_an_agent_that_acts(result: dict[str, Any]) -> None:
    assert result["turns"] == 48
    assert result["epochs"] == 3
    assert result["validation"]["episodes"] >= 8
    assert result["body"]["units"] <= 60
    world = load_world(result["model"])
    env = open_environment(world, 2, mode="test", seed=1)
    observations, _ = env.reset()
    assert observations.shape[1] == env.single_observation_space.shape[0]  # type: ignore[index]
    assert json.loads((Path(result["model"]) / "metrics.json").read_text())["task"] == "cafe"


@pytest.mark.slow
def test_what_is_finished_is_given_again_and_its_body_is_shared(result: dict[str, Any], root: str) -> None:
    again = train(config(root, name="first"), quiet=True)
    assert again == result
    other = train(
        config(root, name="other", **{"learning.algorithm": "sac", "learning.turns": 16, "learning.turns_per_iteration": 16}), quiet=True
    )
    assert other["body"] == result["body"]
    named = train(config(root, name="third", body_from="first", **{"learning.turns": 16}), quiet=True)
    assert named["body"]["folder"] == f"{result['model']}/body"


@pytest.mark.slow
def test_other_settings_under_the_same_name_are_refused_until_it_is_fresh(result: dict[str, Any], root: str) -> None:
    changed = {"learning.ppo.lr": 1e-4, "learning.turns": 16}
    with pytest.raises(ConfigError, match=r"learning.ppo.lr: then 0.002, now 0.0001"):
        train(config(root, name="first", **changed), quiet=True)
    fresh = train(config(root, name="first", fresh=True, **changed), quiet=True)
    assert fresh["turns"] == 16
    assert fresh["body"] == result["body"]


def test_a_body_that_is_not_there_is_told(tmp_path: Any, ray_cluster: Any) -> None:
    with pytest.raises(RapportError, match="body_from is nobody: no body in"):
        train(config(str(tmp_path), body_from="nobody"), quiet=True)


def test_trials_of_a_search_act_where_they_are() -> None:
    assert for_search(TrainAgentConfig()).learning.runners == 0
