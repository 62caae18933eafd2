"""Where clips are made: a synthesiser, a cast of speakers and seeds by name. One studio lives in each worker process."""

from functools import cache
from typing import Protocol

import numpy as np

from rapport.core.speech import Synthesizer
from rapport.datasets.synthetic import prosody, recording, speakers
from rapport.datasets.synthetic.seeds import generator
from rapport.datasets.synthetic.speakers import Speaker


class Item(Protocol):
    """One thing that a layout plans and renders, usually one audio file."""

    @property
    def path(self) -> str:
        """Main file, relative to the corpus; written last, so that the item is finished when it exists."""
        ...


class Studio:
    """Makes takes of speakers. `variation` scales how far speakers and takes lie from the book."""

    def __init__(self, synthesizer: Synthesizer, seed: int, variation: float = 1.0) -> None:
        self._synthesizer = synthesizer
        self._seed = seed
        self._variation = variation
        self.speaker = cache(self._cast)

    def rng(self, *names: str) -> np.random.Generator:
        """A generator of its own for these names, such as the path of a clip."""
        return generator(self._seed, *names)

    def _cast(self, name: str, gender: str) -> Speaker:
        return speakers.cast(name, gender, self._synthesizer.voices, self._seed, self._variation)

    def take(self, speaker: Speaker, text: str, rng: np.random.Generator, *, emotion: str = "neutral", strength: float = 1.0) -> np.ndarray:
        """One recorded take, float32 [S] at 16 kHz: the sentence (without final mark) in an emotion at a strength of 0 to 1."""
        how = prosody.take(speaker, emotion, strength, rng, self._variation)
        line = prosody.punctuate(text, emotion, rng)
        samples, rate_hz = self._synthesizer.speak(line, speaker.voice, how, seed=int(rng.integers(2**31)))
        return recording.record(samples, rate_hz, speaker.microphone, rng)
