"""A body that learned to name three coloured things in seconds: its world for tests."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from rapport.core.speech import Voice
from rapport.models.backends.tts import espeak
from rapport.models.spolacq.body import SpolacqBody
from rapport.models.spolacq.captions import Vocabulary
from rapport.models.spolacq.config import BodyConfig, HearingConfig, small_image_to_units
from rapport.models.spolacq.eyes import EmbeddedEyes
from rapport.models.spolacq.i2u import ImageToUnits
from rapport.models.spolacq.mel_units import MelUnits, fit_mel_units
from rapport.models.spolacq.voice import SpectrumVoice
from rapport.training.config import AdamWConfig
from rapport.training.image_to_units import CaptionData, Captions, captions_of, train_image_to_units
from rapport.training.image_to_units_config import ImageToUnitsTrainingConfig

THINGS = {"lemon": (230, 210, 40), "tea": (60, 150, 60), "cocoa": (110, 60, 30)}
PATTERNS = ("{}", "i want {}", "give me {}")
SENTENCES = tuple(pattern.format(thing) for thing in THINGS for pattern in PATTERNS)
PICTURES = 6
SEED = 0


def picture(thing: str, index: int, size: int = 48) -> np.ndarray:
    """uint8 [size, size, 3]: a disc of the thing's colour on a light ground, of a size, place and shade that vary with the index."""
    rng = np.random.default_rng([index, *thing.encode()])
    canvas = np.full((size, size, 3), rng.integers(190, 255), np.float64)
    y, x = np.mgrid[:size, :size] - size / 2
    down, across = rng.normal(0, size / 20, 2)
    canvas[np.hypot(y - down, x - across) < size * rng.uniform(0.25, 0.4)] = THINGS[thing]
    return np.clip(canvas + rng.normal(0, 5, canvas.shape), 0, 255).astype(np.uint8)


@cache
def spoken(sentence: str) -> np.ndarray:
    """float32 [S] at 22,050 Hz."""
    samples, rate_hz = espeak.load().speak(sentence, Voice("en-us+f3"))
    assert rate_hz == 22_050
    return samples


@cache
def units() -> MelUnits:
    """Units of all sentences."""
    return fit_mel_units([spoken(s) for s in SENTENCES], 22_050, HearingConfig(clusters=128), seed=SEED)


def pictures(indices: Sequence[int]) -> list[np.ndarray]:
    """Each thing at each index, thing by thing."""
    return [picture(thing, index) for thing in THINGS for index in indices]


def captions(indices: Sequence[int], vocabulary: Vocabulary, max_units: int = 100) -> Captions:
    """Every sentence of every picture."""
    heard = dict(zip(SENTENCES, units().hear([spoken(s) for s in SENTENCES], 22_050), strict=True))
    things = [thing for thing in THINGS for _ in indices]
    of = [place for place in range(len(things)) for _ in PATTERNS]
    said = [heard[pattern.format(thing)] for thing in things for pattern in PATTERNS]
    return captions_of(EmbeddedEyes().see(pictures(indices)), of, said, vocabulary, max_units)


def vocabulary() -> Vocabulary:
    """Of all sentences."""
    return Vocabulary.of(units().hear([spoken(s) for s in SENTENCES], 22_050), 0)


def speller(vocabulary: Vocabulary, seed: int = SEED) -> ImageToUnits:
    """An untrained image-to-unit model."""
    torch.manual_seed(seed)
    config = small_image_to_units().model_copy(update={"width": 64, "hidden": 128, "layers": 1})
    return ImageToUnits(config, EmbeddedEyes.width, vocabulary.size)


def untrained_body() -> SpolacqBody:
    """A body that says random units."""
    words = vocabulary()
    model = speller(words)
    return SpolacqBody(body_config(model), EmbeddedEyes(), model, words, SpectrumVoice(units()))


@cache
def trained_body() -> SpolacqBody:
    """A body that names what it sees."""
    words = vocabulary()
    model = speller(words)
    config = ImageToUnitsTrainingConfig(epochs=60, batch_size=18, selection="last", optim=AdamWConfig(lr=3e-3))
    train_image_to_units(model, CaptionData(captions(range(PICTURES), words)), config, seed=SEED)
    return SpolacqBody(body_config(model), EmbeddedEyes(), model, words, SpectrumVoice(units()))


def body_config(model: ImageToUnits) -> BodyConfig:
    """Of a body with this model."""
    return BodyConfig(hearing=HearingConfig(clusters=128), image_to_units=model.config)
