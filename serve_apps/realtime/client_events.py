"""What clients say, in the names and shapes of OpenAI's Realtime interface, checked.

Fields that OpenAI knows and this server does not are read over where they change nothing, and refused by name where an answer without them
would be another answer, such as `tools`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import from_json

from rapport.serve_apps.realtime.errors import ProtocolError, refusal
from rapport.serve_apps.realtime.session_config import voice_name

_ITEM_ID = 200
_REFUSED = ("tools", "prompt")


class ClientEvent(BaseModel):
    """Base of what a client says."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    event_id: str | None = Field(default=None, max_length=512)
    """The client's own name of the event; an error repeats it."""


class SessionUpdate(ClientEvent):
    """Change what is given of the session's settings."""

    type: Literal["session.update"]
    session: dict[str, Any]


class AppendAudio(ClientEvent):
    """More of the user's voice."""

    type: Literal["input_audio_buffer.append"]
    audio: str
    """Base64 of 16-bit little-endian samples, 24 kHz, one channel."""


class AudioWish(ClientEvent):
    """What was heard so far is a turn (`commit`), or is to be forgotten (`clear`); or the reply is not to be played on."""

    type: Literal["input_audio_buffer.commit", "input_audio_buffer.clear", "output_audio_buffer.clear"]


class GivenContent(BaseModel):
    """A piece of a message."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    type: Literal["input_text", "input_audio", "output_text", "output_audio"]
    text: str = ""
    audio: str | None = None
    """Base64, as in `input_audio_buffer.append`."""
    transcript: str | None = None

    @property
    def words(self) -> str:
        """What is said in it, where it is known."""
        return self.text or self.transcript or ""


class GivenItem(BaseModel):
    """A message that the client puts into the conversation."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: list[GivenContent] = Field(min_length=1, max_length=16)
    id: str | None = Field(default=None, min_length=1, max_length=_ITEM_ID)
    x_emotion: str | None = None
    """How it was said."""


class CreateItem(ClientEvent):
    """Put a message into the conversation."""

    type: Literal["conversation.item.create"]
    item: GivenItem
    previous_item_id: str | None = Field(default=None, max_length=_ITEM_ID)
    """After which one; `root` is the beginning, none the end."""


class OneItem(ClientEvent):
    """Forget a message, or show it."""

    type: Literal["conversation.item.delete", "conversation.item.retrieve"]
    item_id: str = Field(max_length=_ITEM_ID)


class TruncateItem(ClientEvent):
    """The user has heard a reply up to here."""

    type: Literal["conversation.item.truncate"]
    item_id: str = Field(max_length=_ITEM_ID)
    content_index: Literal[0] = 0
    audio_end_ms: int = Field(ge=0)


class _AudioOutput(BaseModel):
    voice: str | None = Field(default=None, max_length=100)

    @field_validator("voice", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return voice_name(value)


class _Audio(BaseModel):
    output: _AudioOutput = _AudioOutput()


class ResponseOptions(BaseModel):
    """How this response differs from what the session says."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    output_modalities: list[Literal["text", "audio"]] | None = Field(default=None, min_length=1, max_length=2)
    audio: _Audio = _Audio()
    conversation: Literal["auto", "none"] = "auto"
    """`none` leaves the reply out of the conversation."""
    max_output_tokens: Annotated[int, Field(ge=1)] | Literal["inf"] | None = None
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None = Field(default=None, max_length=16)
    """Comes back with the response."""
    input: list[Any] | None = None
    tools: Any = None
    prompt: Any = None

    @field_validator("input")
    @classmethod
    def _no_input(cls, value: list[Any] | None) -> None:
        if value is not None:
            raise ValueError("a response of its own input is not made here: create items, then the response")

    @field_validator(*_REFUSED)
    @classmethod
    def _nothing_unsupported(cls, value: Any) -> Any:
        if value:
            raise ValueError("this model has none: leave it out")
        return value


class CreateResponse(ClientEvent):
    """Answer what the user said last."""

    type: Literal["response.create"]
    response: ResponseOptions | None = None


class CancelResponse(ClientEvent):
    """Say no more."""

    type: Literal["response.cancel"]
    response_id: str | None = Field(default=None, max_length=_ITEM_ID)


Event = SessionUpdate | AppendAudio | AudioWish | CreateItem | OneItem | TruncateItem | CreateResponse | CancelResponse

_KINDS: dict[str, TypeAdapter[Any]] = {
    kind: TypeAdapter(model)
    for model in (SessionUpdate, AppendAudio, AudioWish, CreateItem, OneItem, TruncateItem, CreateResponse, CancelResponse)
    for kind in model.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
}


def read_event(text: str) -> Event:
    """The event in a message. Raises ProtocolError for what is none."""
    try:
        value = from_json(text)
    except (ValueError, TypeError) as error:  # the latter of text that is no Unicode
        raise ProtocolError(f"not JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"a JSON {type(value).__name__}: wanted an object with a `type`", code="invalid_event")
    given = value.get("event_id")
    event_id = given if isinstance(given, str) and len(given) <= 512 else None
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        seen = repr(kind[:100]) if isinstance(kind, str) else f"a {type(kind).__name__}"
        raise ProtocolError(f"type is {seen}: wanted one of {', '.join(_KINDS)}", code="invalid_event", param="type", event_id=event_id)
    try:
        event: Event = _KINDS[kind].validate_python(value)
        return event
    except ValidationError as error:
        raise refusal(error, event_id=event_id) from error
