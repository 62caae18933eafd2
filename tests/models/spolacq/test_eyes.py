"""Eyes: the same picture has the same feature, at any size, on any ground."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTModel

from rapport.core.errors import RapportError
from rapport.models.spolacq.config import EyesConfig
from rapport.models.spolacq.eyes import EmbeddedEyes, load_eyes, shrink
from tests.models.spolacq import tiny


def test_features_are_alike_for_one_thing_and_unlike_for_two() -> None:
    features = EmbeddedEyes().see(tiny.pictures(range(12))).reshape(len(tiny.THINGS), 12, -1)
    assert features.dtype == np.float32
    means = features.mean(1)
    distances = np.linalg.norm(features[:, :, None] - means, axis=-1)  # [thing, index, mean of thing]
    assert (distances.argmin(-1) == np.arange(len(tiny.THINGS))[:, None]).all()


def test_a_picture_has_much_the_same_feature_at_any_size() -> None:
    eyes = EmbeddedEyes()
    picture = tiny.picture("tea", 3, 64)
    twice = np.kron(picture, np.ones((2, 2, 1), np.uint8))
    np.testing.assert_allclose(eyes.see([picture]), eyes.see([twice]), atol=1e-5)
    assert np.isfinite(eyes.see([picture[:5, :3], np.zeros((1, 1, 3), np.uint8), np.full((224, 224, 3), 255, np.uint8)])).all()


def test_features_do_not_depend_on_neighbours() -> None:
    pictures = tiny.pictures(range(3))
    together = EmbeddedEyes().see(pictures)
    np.testing.assert_array_equal(together, np.concatenate([EmbeddedEyes().see([p]) for p in pictures]))


def test_shrinking_takes_means_over_areas() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    np.testing.assert_allclose(shrink(picture, 32), picture.reshape(32, 2, 32, 3, 3).mean((1, 3)))
    assert shrink(picture[:7, :5], 32).mean() == pytest.approx(picture[:7, :5].mean())


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), "picture"])
def test_what_is_no_picture_is_refused(picture: object) -> None:
    with pytest.raises(RapportError, match=r"wanted uint8 \[H, W, 3\]"):
        EmbeddedEyes().see([picture])  # type: ignore[list-item]


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny vision transformer, as save_pretrained leaves it."""
    torch.manual_seed(0)
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8)
    folder = tmp_path_factory.mktemp("dino")
    ViTModel(config).save_pretrained(folder)
    return folder


def test_pretrained_eyes_come_from_a_folder_and_are_known_by_their_weights(dino: Path) -> None:
    eyes = load_eyes(EyesConfig(kind="dino", source=str(dino), size=48, batch_size=2))
    pictures = tiny.pictures(range(1))
    features = eyes.see(pictures)
    assert features.shape == (3, eyes.width) == (3, 16)
    np.testing.assert_allclose(eyes.see(pictures[2:]), features[2:], atol=1e-5)
    elsewhere = load_eyes(EyesConfig(kind="dino", source="not here", size=48), source=str(dino))
    assert elsewhere.identity == eyes.identity
    assert load_eyes(EyesConfig(kind="dino", source=str(dino), size=32)).identity != eyes.identity


def test_pretrained_eyes_that_cannot_be_used_are_told(dino: Path, tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="cannot be loaded"):
        load_eyes(EyesConfig(kind="dino", source=str(tmp_path / "nothing")))
    with pytest.raises(RapportError, match="multiple of the patches"):
        load_eyes(EyesConfig(kind="dino", source=str(dino), size=50))
