"""The state of a stream as bytes that a client may keep: JSON and arrays in one safetensors buffer, checked when they come back."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.models.listener.shaping import SANE, ShaperState

_FACTS = "facts"
# Raise this when a stream keeps something else.
_FORMAT = 1
_LONGEST = 2**53  # samples: longer than any stream, and exact in JSON


class StreamFacts(Config):
    """What a stream knows besides its arrays."""

    format: int = Field(default=_FORMAT, ge=_FORMAT, le=_FORMAT)
    """Version of the token."""
    model: str
    """Fingerprint of the model."""
    samples: int = Field(ge=0, le=_LONGEST)
    """Samples so far."""
    heard: int = Field(ge=0, le=_LONGEST)
    """Samples up to the last that was audio."""
    noise_db: float = Field(allow_inf_nan=False)
    """Level of the noise in the audio."""
    finished: bool
    """Whether the stream is at its end."""
    shaper: ShaperState
    """Filter, limits and noise."""


def pack(facts: StreamFacts, arrays: Mapping[str, npt.NDArray[np.floating]]) -> bytes:
    """The token of a stream."""
    text = np.frombuffer(facts.model_dump_json().encode(), np.uint8)
    return save({_FACTS: text, **{name: np.ascontiguousarray(array) for name, array in arrays.items()}})


def unpack(token: bytes, like: Mapping[str, npt.NDArray[np.floating]]) -> tuple[StreamFacts, dict[str, npt.NDArray[np.floating]]]:
    """The facts and the arrays of a token; the arrays have the shapes and the precision of those in `like`.

    Raises RapportError unless everything is there, as it should be, and of a size that a stream can reach: a token comes from outside.
    """
    try:
        found = load(token)
        facts = StreamFacts.model_validate_json(found.pop(_FACTS).tobytes())
    except (SafetensorError, KeyError, ValueError) as error:
        raise RapportError(f"the resume token cannot be read ({type(error).__name__}): start a new stream") from error
    seen = {name: (array.dtype.name, array.shape) for name, array in found.items()}
    wanted = {name: (array.dtype.name, array.shape) for name, array in like.items()}
    if seen != wanted:
        raise RapportError(f"the resume token holds {seen}: wanted {wanted}, start a new stream")
    if not all((np.abs(array) <= SANE).all() for array in found.values()):  # NaN compares false
        raise RapportError(f"the resume token holds numbers that are not finite, or beyond {SANE:g}: start a new stream")
    return facts, {name: array.copy() for name, array in found.items()}
