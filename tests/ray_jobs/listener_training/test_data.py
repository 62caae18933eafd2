from pathlib import Path

import pytest
import torch

from rapport.core.errors import RapportError
from rapport.datasets.listener.build import open_motion
from rapport.ray_jobs.listener_training.config import fold_configs
from rapport.ray_jobs.listener_training.data import as_turns, choose_folds, describe, divide, find_data, usable_turns
from rapport.ray_jobs.listener_training.worker import start_model
from rapport.training.motion import MotionData, train_motion
from tests.toy_listener import SESSIONS, build_toy, toy_settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def data(root: Path) -> str:
    return build_toy(root)


def test_features_are_found_by_corpus_or_folder_and_by_what_the_model_hears(root, data):
    config = toy_settings(root)
    assert find_data(config.storage, "iemocap", config.model.front_end) == data
    assert find_data(config.storage, data, config.model.front_end) == data
    other = toy_settings(root, model={"front_end": {"frame_rate_hz": 50}}).model.front_end
    with pytest.raises(RapportError, match=r"features of 1 others: run python -m rapport\.ray_jobs\.build_listener --corpus iemocap"):
        find_data(config.storage, "iemocap", other)
    with pytest.raises(RapportError, match="front end"):
        find_data(config.storage, data, other)


def test_each_session_is_held_out_and_the_one_after_it_selects(data):
    turns = usable_turns(data, open_motion(data))
    for number, session in enumerate(SESSIONS):
        sides = divide(turns, session)
        assert {turn.session for turn in sides.test} == {session}
        assert {turn.session for turn in sides.validation} == {SESSIONS[(number + 1) % 3]}
        assert {turn.session for turn in sides.train} == {SESSIONS[(number + 2) % 3]}
        assert len(sides.train) + len(sides.validation) + len(sides.test) == len(turns)
        people = [
            {person for turn in side for person in (turn.listener, turn.speaker)} for side in (sides.train, sides.validation, sides.test)
        ]
        assert [len(side) for side in people] == [2, 2, 2]
        assert not set.intersection(*people)


def test_without_a_fold_every_session_but_the_last_is_learned_from(data):
    store = open_motion(data)
    sides = divide(usable_turns(data, store), "none")
    told = describe(sides, store)
    assert told["train"]["sessions"] == ["session1", "session2"]
    assert told["train"]["listeners"] == 4
    assert told["validation"]["sessions"] == ["session3"]
    assert told["test"]["turns"] == 0


def test_folds_are_chosen_of_the_sessions_there_are(tmp_path):
    assert choose_folds(toy_settings(tmp_path), SESSIONS) == SESSIONS
    assert choose_folds(toy_settings(tmp_path, folds="session2,session3"), SESSIONS) == ("session2", "session3")
    assert choose_folds(toy_settings(tmp_path, folds="none"), SESSIONS[:2]) == ("none",)
    with pytest.raises(RapportError, match=r"no session9; the turns are of session1, session2, session3"):
        choose_folds(toy_settings(tmp_path, folds="session9"), SESSIONS)
    with pytest.raises(RapportError, match=r"2 sessions .* wanted 3"):
        choose_folds(toy_settings(tmp_path), SESSIONS[:2])


def test_weights_at_the_start_of_a_fold_do_not_depend_on_what_was_trained_before(root, data):
    store = open_motion(data)
    turns = usable_turns(data, store)
    first, second = fold_configs(toy_settings(root, training={"epochs": 1}), SESSIONS[:2])
    alone = start_model(second, store).state_dict()

    before = start_model(first, store)
    sides = divide(turns, first.fold)
    train_motion(before, MotionData(*(as_turns(store, side, "relative") for side in (sides.train, sides.validation))), first.training)
    after = start_model(second, store)

    assert all(torch.equal(tensor, after.state_dict()[name]) for name, tensor in alone.items())
    assert any(not torch.equal(tensor, before.state_dict()[name]) for name, tensor in alone.items())


def test_another_seed_begins_from_other_weights(root, data):
    store = open_motion(data)
    one, two = (start_model(fold, store) for fold in fold_configs(toy_settings(root, seeds=(0, 1)), SESSIONS[:1]))
    weight = "network.project.weight"
    assert not torch.equal(one.state_dict()[weight], two.state_dict()[weight])
