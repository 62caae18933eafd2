"""The state of a session as text: what this room adds to the state of a motion stream, and that state."""

import base64
import binascii
from typing import Self

import numpy as np
from pydantic import Field, ValidationError

from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.serve_apps.listener.rates import INPUT_RATES_HZ

_FORMAT = 1
_LONGEST = 2**53


class SessionState(Config):
    """All that a session knows besides its motion stream."""

    format: int = Field(default=_FORMAT, ge=_FORMAT, le=_FORMAT)
    """Version of the token."""
    sample_rate_hz: int
    """Rate of the audio."""
    rate_hz: float = Field(ge=25, le=60)
    """Poses a second."""
    seed: int | None = Field(ge=0, lt=2**63)
    """What the motion is drawn by."""
    samples: int = Field(ge=0, le=_LONGEST)
    """Samples of the client's audio so far, those that were dropped included."""
    taken: int = Field(ge=0, le=_LONGEST)
    """Samples that the resampler has taken."""
    tail: str
    """The last of them, base64 of float32."""
    missed_s: float = Field(ge=0, le=_LONGEST, allow_inf_nan=False)
    """Time for which no audio came."""
    next_frame: int = Field(ge=0, le=_LONGEST)
    """The pose that is due."""
    last_pose: tuple[float, float, float, float] | None
    """The last pose of the model: time, roll, pitch and yaw."""

    def pack(self, stream: bytes) -> str:
        """The token of a session whose motion stream has this state."""
        return f"{_to_text(self.model_dump_json().encode())}.{_to_text(stream)}"

    @classmethod
    def unpack(cls, token: str) -> tuple[Self, bytes]:
        """The state in a token, and that of the motion stream. Raises RapportError for what is no token."""
        head, _, stream = token.partition(".")
        try:
            state = cls.model_validate_json(_from_text(head))
            pose = state.last_pose or (0.0, 0.0, 0.0, 0.0)
            # A comparison with NaN is false.
            sound = abs(pose[0]) <= _LONGEST and np.abs(pose[1:]).max() <= 180 and np.isfinite(state.samples_before()).all()
            if not sound or state.sample_rate_hz not in INPUT_RATES_HZ:
                raise ValueError("numbers that no stream gives")
            return state, _from_text(stream)
        except (ValidationError, ValueError) as error:
            raise RapportError(f"the resume token cannot be read ({type(error).__name__}): start a new stream") from error

    def samples_before(self) -> np.ndarray:
        """[K] the last samples that the resampler has taken."""
        return np.frombuffer(_from_text(self.tail), "<f4").astype(np.float32)


def tail_text(tail: np.ndarray) -> str:
    """Samples [K] as text."""
    return _to_text(tail.astype("<f4").tobytes())


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _from_text(text: str) -> bytes:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
