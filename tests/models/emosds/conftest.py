"""A tiny speech language model."""

from collections.abc import Callable

import pytest

from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.pretrained import build_model
from tests.models.emosds.tiny import TEXTS, decisive, tiny_config


@pytest.fixture(scope="session")
def model() -> SpeechLanguageModel:
    """Tiled injection, all inputs. Tests leave it as it is."""
    return decisive(build_model(tiny_config(), TEXTS))


@pytest.fixture(scope="session")
def build() -> Callable[..., SpeechLanguageModel]:
    """A fresh model with other settings."""
    return lambda **settings: decisive(build_model(tiny_config(**settings), TEXTS))
