"""Metrics of a made-up classifier, for pages that show some."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rapport.training.metrics import classification_metrics

LABELS = ("neutral", "calm", "happy", "sad")


@pytest.fixture(scope="session")
def made_up_metrics() -> Callable[..., dict[str, Any]]:
    """Metrics of 120 clips of two corpora and four emotions, another draw for each seed."""

    def metrics(seed: int = 0, count: int = 120) -> dict[str, Any]:
        random = np.random.default_rng(seed)
        targets = random.integers(0, 4, count)
        logits = random.normal(size=(count, 4)) + 1.5 * np.eye(4)[targets]
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        corpora = [("ravdess", "cremad")[i % 2] for i in range(count)]
        speakers = [f"{name}/{i % 7}" for i, name in enumerate(corpora)]
        return classification_metrics(targets, probabilities.argmax(1), probabilities, speakers, corpora, LABELS, resamples=200)

    return metrics
