"""Items of work over Ray Data."""

import logging

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.ray_data import map_items, quiet


def double(item):
    return {"index": item["index"], "twice": 2 * item["index"]}


def stumble(item):
    raise RapportError(f"no luck with {item['index']}")


def test_every_item_is_answered_once(ray_cluster, capfd):
    answers = list(map_items([{"index": i} for i in range(100)], double))
    assert sorted(a["index"] for a in answers) == list(range(100))
    assert all(a["twice"] == 2 * a["index"] for a in answers)
    assert "Dataset" not in capfd.readouterr().err


def test_no_items_need_no_ray():
    assert list(map_items([], double)) == []


def test_an_error_of_the_work_is_told_to_the_caller_and_to_nobody_else(ray_cluster, capfd):
    with pytest.raises(Exception, match="no luck with 0"):
        list(map_items([{"index": 0}], stumble, concurrency=1))
    assert "no luck" not in capfd.readouterr().err


def test_the_chatter_comes_back_afterwards():
    from ray.data import DataContext

    before = (DataContext.get_current().enable_progress_bars, logging.getLogger("ray.data").level)
    with quiet():
        assert not DataContext.get_current().enable_progress_bars
    assert (DataContext.get_current().enable_progress_bars, logging.getLogger("ray.data").level) == before
