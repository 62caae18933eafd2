"""An agent that says in words what it would have spoken of: its choices without its speech."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rapport.simulator.body import Body


class InWords:
    """A `Body` with the eyes of another, whose speech is words, which a session hears without a mistake.

    Before each step it has to be told which words stand for the features of what is on show.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self.words: dict[bytes, str] = {}
        """By the features of a picture, as bytes."""

    @property
    def feature_width(self) -> int:
        return self._body.feature_width

    @property
    def sentence_width(self) -> int:
        return self._body.sentence_width

    @property
    def rate_hz(self) -> int:
        return self._body.rate_hz

    def see(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """As the other body."""
        return self._body.see(pictures)

    def say(self, features: np.ndarray, sentences: np.ndarray) -> list[Any]:
        """The words for each row of features [N, F]."""
        return [self.words[row.tobytes()] for row in features]
