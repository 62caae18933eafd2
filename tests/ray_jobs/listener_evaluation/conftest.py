from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ray_jobs.listener_evaluation.toy import make_conversations, make_features, make_model


class Toy(NamedTuple):
    """A storage root with made conversations of three sessions and random models of two folds."""

    root: Path
    prepared: str
    features: str


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    root = tmp_path_factory.mktemp("listening")
    prepared = make_conversations(root)
    features = make_features(root, prepared)
    for fold in ("session1", "session2"):
        for seed in (0, 1):
            make_model(root, "causal", features, fold=fold, seed=seed)
        make_model(root, "other", features, fold=fold, seed=5, head={"kind": "point"}, pose="absolute")
    make_model(root, "served", features, fold="none")
    return Toy(root, prepared, features)
