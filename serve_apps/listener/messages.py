"""What is said over the WebSocket: the client's messages as they are checked, the server's as they are sent.

client                                             server
{"type": "start", ...}                             {"type": "started", ...}
PCM16 little-endian, one channel, any length       {"type": "poses", "frames": [...], ...}
{"type": "ack", "time_s": 1.5}
{"type": "ping"}                                   {"type": "pong"}
{"type": "state"}                                  {"type": "state", "token": "...", "samples": 24000}
{"type": "finish"}                                 the last poses, {"type": "finished", ...}, and the end
                                                   {"type": "error", "error": {...}}, and the end
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from rapport.core.pose import PoseFrame
from rapport.serve_apps.http.errors import ApiError, error_object
from rapport.serve_apps.listener.rates import INPUT_RATES_HZ

_DECIMALS = 6  # of a degree and of a second: finer than streaming and offline agree
# How a connection ends: by the standard (RFC 6455), so that a client that reads no errors can tell what to do.
_CLOSE_CODES = {408: 1008, 429: 1013, 500: 1011, 503: 1013}


class ClientMessage(BaseModel):
    """Base of what a client says."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Start(ClientMessage):
    """The first message."""

    type: Literal["start"]
    sample_rate_hz: int = 16_000
    """Rate of the audio that follows."""
    rate_hz: float | None = Field(default=None, ge=25, le=60)
    """Poses a second; the model's own unless given."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Draws the motion, the same for the same seed; without one it is the most probable."""
    token: str | None = None
    """Go on where the stream was that gave this token, with the rates and the seed of that stream."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sample_rate_hz not in INPUT_RATES_HZ:
            raise ValueError(f"sample_rate_hz is {self.sample_rate_hz}: wanted one of {', '.join(map(str, INPUT_RATES_HZ))}")
        told = sorted(self.model_fields_set & {"sample_rate_hz", "rate_hz", "seed"})
        if self.token is not None and told:
            raise ValueError(f"{', '.join(told)} beside a token: leave out what the stream of the token has settled")
        return self


class Ack(ClientMessage):
    """The client has read the poses up to a time. Without that, those it does not read would pile up on the way, where nobody sees them."""

    type: Literal["ack"]
    time_s: float = Field(allow_inf_nan=False)


class Wish(ClientMessage):
    """The client wants an answer: that the server is there, a resume token, or the last poses and the end."""

    type: Literal["ping", "state", "finish"]


_LATER: TypeAdapter[Ack | Wish] = TypeAdapter(Annotated[Ack | Wish, Field(discriminator="type")])


def read_start(text: str) -> Start:
    """The first message. Raises ApiError (400) for another."""
    try:
        return Start.model_validate_json(text)
    except ValidationError as error:
        raise _refusal(error, "start") from error


def read_message(text: str) -> Ack | Wish:
    """A message after the first. Raises ApiError (400) for one that nobody knows."""
    try:
        return _LATER.validate_json(text)
    except ValidationError as error:
        raise _refusal(error, "ack, ping, state or finish") from error


def poses_message(frames: Iterable[PoseFrame], **facts: float) -> dict[str, Any]:
    """Poses and what is to be told with them, rounded to six decimals."""
    told = [{name: round(value, _DECIMALS) for name, value in frame._asdict().items()} for frame in frames]
    return {"type": "poses", "frames": told, **{name: round(value, _DECIMALS) for name, value in facts.items()}}


def error_message(error: ApiError) -> dict[str, Any]:
    """The error as HTTP has it, and when to come back where that would help."""
    retry = {"retry_after_s": float(error.headers["Retry-After"])} if "Retry-After" in error.headers else {}
    return {"type": "error", **error_object(error), **retry}


def close_code(error: ApiError) -> int:
    """The code with which a WebSocket closes upon an error."""
    return _CLOSE_CODES.get(error.status, 1008)


def _refusal(error: ValidationError, wanted: str) -> ApiError:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"] if part not in ("ack", "ping", "state", "finish"))
    message = f"{where}: {problem['msg']}" if where else f"{problem['msg']}; wanted a JSON message of type {wanted}"
    return ApiError(400, message, code="invalid_message", param=where or None)
