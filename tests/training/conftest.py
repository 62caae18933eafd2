"""A corpus of tones, one pitch an emotion, and a classifier small enough to learn it in a second."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.schema import Utterance
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.config import SerConfig
from rapport.training.clips import ClassifierData, Clips
from rapport.training.config import ClassifierConfig
from tests.models.ser.conftest import write_encoder

EMOTIONS = ("neutral", "happy", "sad")
CORPORA = ("tones", "more")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slowed down by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tone(name: str) -> np.ndarray:
    """The clip of an utterance called `<corpus>/<speaker>-<emotion>-<take>`: a tone whose pitch tells the emotion."""
    speaker, emotion, take = name.split("/")[1].split("-")
    random = np.random.default_rng([int(speaker), EMOTIONS.index(emotion), int(take)])
    samples = int(SAMPLE_RATE_HZ * random.uniform(0.25, 0.5))
    pitch_hz = (300, 900, 2500)[EMOTIONS.index(emotion)] * random.uniform(0.9, 1.1)
    wave = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(samples) / SAMPLE_RATE_HZ) + 0.02 * random.standard_normal(samples)
    return wave.astype(np.float32)


def tone_rows(speakers: range, takes: int = 2, corpus: str = "tones") -> list[Utterance]:
    rows = []
    for speaker in speakers:
        for emotion in EMOTIONS:
            for take in range(takes):
                name = f"{corpus}/{speaker}-{emotion}-{take}"
                rows.append(
                    Utterance(
                        utterance_id=name,
                        corpus=corpus,
                        audio_path="",
                        duration_s=len(tone(name)) / SAMPLE_RATE_HZ,
                        speaker_id=f"{corpus}/{speaker}",
                        emotion=emotion,
                    )
                )
    return rows


def tone_clips(speakers: range, takes: int = 2, corpora: tuple[str, ...] = ("tones",)) -> Clips:
    return Clips([row for corpus in corpora for row in tone_rows(speakers, takes, corpus)], tone, EMOTIONS, corpora)


@pytest.fixture
def data() -> ClassifierData:
    return ClassifierData(tone_clips(range(4)), tone_clips(range(4, 6)), {"tones": tone_clips(range(6, 8))})


@pytest.fixture
def make_model() -> Callable[..., SpeechEmotionClassifier]:
    def make(seed: int = 0, **changes: object) -> SpeechEmotionClassifier:
        logmel = {"bands": 16, "n_fft": 512, "width": 0.3, "projection": 16, "gru_hidden": 8, "bf16": False}
        config = {"emotions": EMOTIONS, "encoder": {"logmel": logmel}, "head": {"hidden": 16}, **changes}
        torch.manual_seed(seed)
        model = SpeechEmotionClassifier(SerConfig.model_validate(config))
        model.fit_normalisation(tone(row.utterance_id) for row in tone_rows(range(2)))
        return model

    return make


@pytest.fixture
def settings() -> Callable[..., ClassifierConfig]:
    def make(**changes: object) -> ClassifierConfig:
        return ClassifierConfig.model_validate({"epochs": 3, "batch_size": 6, "optim": {"lr": 0.01}, **changes})

    return make


@pytest.fixture
def make_pretrained(tmp_path: Path) -> Callable[..., SpeechEmotionClassifier]:
    def make(seed: int = 0, **encoder: object) -> SpeechEmotionClassifier:
        if not (tmp_path / "hubert").exists():
            write_encoder(tmp_path / "hubert", "hubert-group")
        config = {"emotions": EMOTIONS, "encoder": {"name": str(tmp_path / "hubert"), **encoder}, "head": {"hidden": 16}}
        torch.manual_seed(seed)
        return SpeechEmotionClassifier(SerConfig.model_validate(config))

    return make
