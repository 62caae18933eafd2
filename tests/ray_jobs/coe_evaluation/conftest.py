from pathlib import Path
from typing import NamedTuple

import pytest

from rapport.datasets.conversations.examples import ExampleStore
from tests.ray_jobs.coe_evaluation.toy import make_adapter, make_model
from tests.ray_jobs.coe_training.toy import build_toy


class Toy(NamedTuple):
    """A storage root with examples of made conversations and random models, `a0` the newest."""

    root: Path
    store: ExampleStore


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    root = tmp_path_factory.mktemp("coe")
    store = build_toy(root)
    for name, seed in (("b1", 4), ("b0", 3), ("a1", 2)):
        make_model(root, name, store, seed)
    make_adapter(root, "adapted", store)
    make_model(root, "a0", store, 1)
    return Toy(root, store)
