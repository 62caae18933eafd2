"""Random streams that depend on words alone: the same on every machine, in every order of calls."""

from hashlib import sha256

import numpy as np

from rapport.simulator.requests import PictureRequest


def look_of(name: str) -> np.random.Generator:
    """The stream that decides how an item looks in general."""
    return _stream("look", name.lower().replace("_", " "))


def variation_of(request: PictureRequest) -> np.random.Generator:
    """The stream that decides one picture; pools never share one."""
    return _stream("picture", request.name, request.mode, request.index, request.seed)


def seed_of(request: PictureRequest, attempt: int = 0) -> int:
    """The same as a number below 2**63, for other generators; another attempt has another one."""
    return int(_stream("picture", request.name, request.mode, request.index, request.seed, attempt).integers(2**63))


def _stream(*parts: object) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(sha256(repr(parts).encode()).digest()[:16], "big"))
