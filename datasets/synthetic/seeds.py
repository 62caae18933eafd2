"""Random generators by name: what one clip draws depends on the seed and its own name, never on which clips were made before it."""

import hashlib

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for these names; equal names give equal draws on any machine."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
