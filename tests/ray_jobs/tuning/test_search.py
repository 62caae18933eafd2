from typing import Any

import pytest
from ray.tune.search.optuna import OptunaSearch

from rapport.ray_jobs.tuning.config import TuneModelConfig
from rapport.ray_jobs.tuning.search import base_point, fits, make_sampler
from rapport.ray_jobs.tuning.study import Record, open_study

CONFIG = {"fields": "training.optim.lr,model.head.hidden,training.mixup"}


@pytest.fixture
def study(tmp_path):
    return open_study(TuneModelConfig(storage=str(tmp_path), **CONFIG))


def proposals(study, done=(), first=(), count=5, **changes):
    searcher = make_sampler(study, done, first, TuneModelConfig(**CONFIG, **changes))
    return [searcher.suggest(f"trial{i}") for i in range(count)]


def record(lr, score, state="finished", number=1):
    params = {"training.optim.lr": lr, "model.head.hidden": 64, "training.mixup": 0.1}
    return Record(params, number, state, [(1, score / 2), (2, score)])


def test_points_to_try_first_come_first(study):
    point = {"training.optim.lr": 0.002, "model.head.hidden": 128, "training.mixup": 0.3}
    assert proposals(study, first=[point], count=2)[0] == point


def test_the_same_seed_proposes_the_same_and_a_continued_search_something_new(study):
    assert proposals(study) == proposals(study)
    assert proposals(study) != proposals(study, seed=1)
    again = proposals(study, done=[record(0.003, 0.5)])
    assert not [point for point in again if point in proposals(study)]


def test_results_of_an_earlier_session_teach_the_sampler(study):
    # Small rates were good: after the random ones, proposals crowd there.
    done = [record(lr, 1 - lr * 100, number=i) for i, lr in enumerate([0.0005 * 1.12**k for k in range(24)])]
    drawn = [point["training.optim.lr"] for point in proposals(study, done=done, count=20, random_samples=5)]
    assert sum(lr < 0.0015 for lr in drawn) >= 14


def test_failed_trials_and_trials_of_another_space_teach_nothing(study):
    failed, other = record(0.003, 0.9, "failed"), Record({"training.optim.lr": 0.003}, 2, "finished", [(1, 0.5)])
    searcher: Any = make_sampler(study, [failed, other], [], TuneModelConfig(**CONFIG))
    assert searcher._ot_study.trials == []


def test_base_is_tried_as_it_is_when_it_lies_inside_the_space(tmp_path, study):
    assert base_point(study) == {"training.optim.lr": 0.002, "model.head.hidden": 256, "training.mixup": 0.3}
    changed = TuneModelConfig(storage=str(tmp_path), name="other", settings=("training.optim.lr=0.5",), **CONFIG)
    assert base_point(open_study(changed)) is None


@pytest.mark.parametrize(("value", "inside"), [(0.002, True), (0.5, False), (None, False), ("many", False)])
def test_values_outside_their_range_do_not_fit(study, value, inside):
    space = OptunaSearch.convert_search_space(study.fields)
    assert fits({"training.optim.lr": value, "model.head.hidden": 64, "training.mixup": 0.1}, space) is inside
