"""Training of Tacotron 2 over units: the loss falls, and an interrupted training ends as one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchaudio.models import Tacotron2

from rapport.core.errors import RapportError
from rapport.models.spolacq.config import TacotronConfig
from rapport.models.spolacq.tacotron import build_tacotron
from rapport.training.checkpoint import load_checkpoint
from rapport.training.config import AdamWConfig
from rapport.training.report import Report
from rapport.training.units_to_speech import SpokenData, SpokenProgress, SpokenUnits, UnitsToSpeechResult, train_units_to_speech
from rapport.training.units_to_speech_config import UnitsToSpeechTrainingConfig

CONFIG = TacotronConfig(
    symbols=8, embedding=8, decoder=16, prenet=8, attention=8, location_filters=2, location_kernel=3, postnet=8, postnet_layers=2
)
TRAINING = UnitsToSpeechTrainingConfig(epochs=2, batch_size=2, save_every_steps=1, evaluate_every=1, selection="best")


def spoken(count: int, seed: int = 0) -> list[SpokenUnits]:
    """Tones of a pitch for each unit."""
    rng = np.random.default_rng(seed)
    utterances = []
    for length in range(2, 2 + count):
        units = rng.integers(0, 8, length)
        samples = np.concatenate([0.3 * np.sin(2 * np.pi * 200 * (1 + unit) * np.arange(2_000) / 22_050) for unit in units])
        utterances.append(SpokenUnits.of(units, samples))
    return utterances


def model() -> Tacotron2:
    torch.manual_seed(0)
    return build_tacotron(CONFIG)


def train(network: Tacotron2, config: UnitsToSpeechTrainingConfig = TRAINING, **more: object) -> UnitsToSpeechResult:
    return train_units_to_speech(network, SpokenData(spoken(4), spoken(2, 1)), config, seed=1, **more)  # type: ignore[arg-type]


def test_the_loss_falls() -> None:
    network = model()
    result = train(network, UnitsToSpeechTrainingConfig(epochs=20, batch_size=4, evaluate_every=20, optim=AdamWConfig(lr=0.02)))
    losses = [record["train"]["loss"] for record in result.history]
    assert losses[-1] < 0.7 * losses[0]
    assert result.epoch == 20
    assert not network.training


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = model()
    train(whole)

    class Interrupted(Exception):
        pass

    def save_and_stop(report: Report) -> None:
        if report.checkpoint is not None:
            report.checkpoint.save(tmp_path / "checkpoint")
        if report.step == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(model(), report=save_and_stop)
    resumed = model()
    train(resumed, checkpoint=load_checkpoint(tmp_path / "checkpoint", SpokenProgress))
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=0, atol=0)


def test_data_that_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(RapportError, match="0 units and 5 samples"):
        SpokenUnits.of(np.zeros(0, np.int64), np.zeros(5))
    with pytest.raises(RapportError, match="no utterance to train on"):
        train_units_to_speech(model(), SpokenData([]), UnitsToSpeechTrainingConfig())
    strange = [SpokenUnits.of(np.array([8]), np.zeros(2_000))]
    with pytest.raises(RapportError, match="units reach 8"):
        train_units_to_speech(model(), SpokenData(strange), UnitsToSpeechTrainingConfig())
