"""Which agent is evaluated, in which world."""

from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_evaluation.config import EvaluateAgentConfig
from rapport.ray_jobs.agent_evaluation.subject import choose_subject
from tests.ray_jobs.agent_evaluation.toy import save_toy_agent


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    save_toy_agent(root, "older", held_out=("cookie",))
    save_toy_agent(root, "newer", task="cafe")
    return root


def config(root: Path, **values: object) -> EvaluateAgentConfig:
    return EvaluateAgentConfig.model_validate({"storage": str(root), **values})


def test_the_newest_agent_is_chosen_or_the_one_that_is_named(root: Path) -> None:
    assert choose_subject(config(root)).name == "newer"
    older = choose_subject(config(root, model="older"))
    assert (older.name, older.task.name) == ("older", "cafe_corner")
    assert choose_subject(config(root, model=older.folder)).folder == older.folder


def test_what_its_body_was_not_trained_on_comes_from_its_training_unless_told(root: Path) -> None:
    found = choose_subject(config(root, model="older"))
    assert (found.unseen_items, found.unseen_patterns) == (("cookie",), (3,))
    assert choose_subject(config(root, model="older", unseen_items="muffin, donut")).unseen_items == ("muffin", "donut")
    with pytest.raises(RapportError, match=r"unseen_items has 'elephant'.*cookie"):
        choose_subject(config(root, model="older", unseen_items="elephant"))


def test_other_services_than_in_training_are_taken_and_told(root: Path) -> None:
    found = choose_subject(config(root, judge="rule:name", grammar=False))
    assert (found.world.services.judge, found.world.services.grammar) == ("rule:name", False)
    assert found.world.services.ears == "pocketsphinx"
    assert any("rule:name" in warning for warning in found.warnings)


def test_episodes_are_not_those_of_training(root: Path) -> None:
    seeds = {choose_subject(config(root, seed=seed)).seed for seed in range(3)}
    assert len(seeds) == 3
    assert not seeds & set(range(1000)), "trainings are seeded with small numbers"


def test_no_agent_is_told(tmp_path: Path, root: Path) -> None:
    with pytest.raises(RapportError, match="train one"):
        choose_subject(config(tmp_path))
    with pytest.raises(RapportError, match="holds no finished agent"):
        choose_subject(config(root, model="nobody"))
