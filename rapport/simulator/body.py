"""An agent's body as environments need it: eyes that turn pictures into features, and a mouth that turns an action into speech."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Body(Protocol):
    """What an agent acts through. An action chooses the picture to speak of and how to speak (F features, Z sentence embedding)."""

    @property
    def feature_width(self) -> int:
        """F."""
        ...

    @property
    def sentence_width(self) -> int:
        """Z."""
        ...

    @property
    def rate_hz(self) -> int:
        """Of its speech."""
        ...

    def see(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Features, float32 [N, F], of pictures, uint8 [H, W, 3]."""
        ...

    def say(self, features: np.ndarray, sentences: np.ndarray) -> list[np.ndarray]:
        """Speech, float32 [S] each, for features [N, F] and sentence embeddings [N, Z]; a row does not depend on the rows beside it."""
        ...
