"""Training of the image-to-unit model: it learns, and an interrupted training ends as one that was not."""

from pathlib import Path

import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.spolacq.captions import Vocabulary
from rapport.models.spolacq.config import ImageToUnitsConfig
from rapport.models.spolacq.i2u import ImageToUnits
from rapport.training.checkpoint import load_checkpoint
from rapport.training.image_to_units import (
    CaptionData,
    CaptionProgress,
    Captions,
    ImageToUnitsResult,
    caption_figures,
    captions_of,
    train_image_to_units,
)
from rapport.training.image_to_units_config import ImageToUnitsTrainingConfig, published_training
from rapport.training.report import Report

WORDS = Vocabulary(tuple(range(6)))
TRAINING = ImageToUnitsTrainingConfig(epochs=3, batch_size=4, save_every_steps=1, feature_noise=0.1)


def captions(seed: int, pictures: int = 6) -> Captions:
    """Two things, each said in two ways."""
    features = torch.randn(pictures, 3, generator=torch.Generator().manual_seed(seed))
    features[:, 0] = torch.arange(pictures) % 2 * 4.0
    units = [[thing, *way] for thing in (torch.arange(pictures) % 2).tolist() for way in ([2, 3], [4, 5, 5])]
    return captions_of(features.numpy(), [p for p in range(pictures) for _ in range(2)], units, WORDS, max_units=5)


def model() -> ImageToUnits:
    torch.manual_seed(0)
    config = ImageToUnitsConfig(width=16, layers=1, heads=2, hidden=16, max_units=5, sentence_width=2, standardise=True)
    return ImageToUnits(config, 3, WORDS.size)


def train(network: ImageToUnits, config: ImageToUnitsTrainingConfig = TRAINING, **more: object) -> ImageToUnitsResult:
    return train_image_to_units(network, CaptionData(captions(0), captions(1)), config, seed=5, **more)  # type: ignore[arg-type]


def test_units_are_foreseen_after_a_training() -> None:
    network = model()
    config = ImageToUnitsTrainingConfig(epochs=80, batch_size=4, selection="best", evaluate_every=20)
    result = train(network, config)
    assert not network.training
    assert result.validation is not None
    # The way of speaking is in the embedding, the thing in the picture: with both known nothing is left to guess.
    assert result.validation["accuracy"] >= 0.95
    assert caption_figures(network, captions(1)) == pytest.approx(result.validation)


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = model()
    history = train(whole).history

    class Interrupted(Exception):
        pass

    def save_and_stop(report: Report) -> None:
        if report.checkpoint is not None:
            report.checkpoint.save(tmp_path / "checkpoint")
        if report.step == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(model(), report=save_and_stop)
    resumed = model()
    result = train(resumed, checkpoint=load_checkpoint(tmp_path / "checkpoint", CaptionProgress))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)
    strip = [{**record, "seconds": 0} for record in history]
    assert [{**record, "seconds": 0} for record in result.history] == strip


def test_the_seed_decides() -> None:
    first, second = model(), model()
    train(first)
    train(second)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def test_data_that_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(RapportError, match="2 captions of 1 pictures"):
        captions_of(torch.zeros(1, 3).numpy(), [0], [[1], [2]], WORDS)
    with pytest.raises(RapportError, match="there are 1"):
        captions_of(torch.zeros(1, 3).numpy(), [1], [[1]], WORDS)
    with pytest.raises(RapportError, match="validation captions"):
        train_image_to_units(model(), CaptionData(captions(0)), TRAINING)
    nothing = captions_of(torch.zeros(0, 3).numpy(), [], [], WORDS, 5)
    with pytest.raises(RapportError, match="no caption to train on"):
        train_image_to_units(model(), CaptionData(nothing, captions(1)), TRAINING)
    broken = CaptionData(captions_of(torch.full((1, 3), torch.nan).numpy(), [0], [[1]], WORDS, 5), captions(1))
    with pytest.raises(RapportError, match="loss is nan"):
        train_image_to_units(model(), broken, TRAINING)


def test_the_published_training_has_an_even_rate() -> None:
    assert (published_training().optim.lr, published_training().epochs) == (1e-4, 100)
