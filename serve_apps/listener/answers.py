"""What the head motion endpoints answer, and what must be able to do the work behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from pydantic import ConfigDict

from rapport.core.pose import DECIMALS, PoseFrame
from rapport.serve_apps.http.answers import Answer, PlainModelCard
from rapport.serve_apps.http.errors import ApiError

if TYPE_CHECKING:
    from rapport.serve_apps.listener.pool import SessionPool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a client may want to know about the model."""

    rate_hz: int
    streams: bool
    draws: bool
    latency_s: float
    created: int
    """When the model was saved, in seconds since 1970."""


class MotionService(Protocol):
    """The work behind the endpoints."""

    async def motion(self, samples: np.ndarray, rate_hz: float | None, seed: int | None) -> list[PoseFrame]:
        """The poses to a recording [S], 16 kHz, at the model's own rate unless another is given; drawn by the seed where there is one.

        Raises RapportError when the model cannot do what is asked.
        """

    async def facts(self) -> ModelFacts:
        """What the loaded model is."""

    def sessions(self) -> "SessionPool":
        """Where clients stream. Raises ApiError when the model does not."""


class NoService:
    """A `MotionService` that has nothing to say: for looking at the interface alone."""

    async def motion(self, samples: np.ndarray, rate_hz: float | None, seed: int | None) -> list[PoseFrame]:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")

    async def facts(self) -> ModelFacts:
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")

    def sessions(self) -> "SessionPool":
        """Raises ApiError (503)."""
        raise ApiError(503, "there is no model here")


class Pose(Answer):
    """Where the head points at one time, in degrees."""

    time_s: float
    """Seconds since the beginning of the recording."""
    roll: float
    """Positive lowers the right ear."""
    pitch: float
    """Positive lowers the nose."""
    yaw: float
    """Positive looks to the head's own left."""


class MotionAnswer(Answer):
    """How a listener moves its head to a recording."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "audio.head_motion",
                    "model": "listener",
                    "rate_hz": 30.0,
                    "duration_s": 3.2,
                    "seed": None,
                    "frames": [{"time_s": 0.033333, "roll": 0.41, "pitch": 2.18, "yaw": -1.07}],
                }
            ]
        }
    )

    object: Literal["audio.head_motion"] = "audio.head_motion"
    model: str
    """Id of the model that answered."""
    rate_hz: float
    """Poses a second; frame k belongs to (k + 1) / rate_hz seconds."""
    duration_s: float
    """Length of the decoded recording."""
    seed: int | None
    """What the motion was drawn by; none where it is the most probable."""
    frames: list[Pose]

    @classmethod
    def of(cls, model: str, rate_hz: float, duration_s: float, seed: int | None, poses: Sequence[PoseFrame]) -> "MotionAnswer":
        """The answer that poses amount to."""
        frames = [Pose(**{name: round(value, DECIMALS) for name, value in pose._asdict().items()}) for pose in poses]
        return cls(model=model, rate_hz=rate_hz, duration_s=round(duration_s, 4), seed=seed, frames=frames)


class ModelCard(PlainModelCard):
    """A model, as the OpenAI list has it, with what is special to motion."""

    rate_hz: int
    """Its own poses a second."""
    streams: bool
    """Whether it follows speech as it is spoken."""
    draws: bool
    """Whether motion can be drawn by a seed."""
    latency_s: float
    """By how much its poses lag behind the speech by design; of a model that streams."""
