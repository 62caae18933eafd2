"""What the server says, in the names and shapes of OpenAI's Realtime interface, and two events of its own, which begin with `x_`.

The stock `openai` client parses each of them: tests hold them against its types.
"""

import secrets
from typing import Any, Literal

from pydantic import BaseModel, Field


def new_id(kind: str) -> str:
    """A name that nothing else has, such as `item_5f0c...`."""
    return f"{kind}_{secrets.token_hex(10)}"


class ServerEvent(BaseModel):
    """Base of what the server says."""

    event_id: str = Field(default_factory=lambda: new_id("event"))


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str = "invalid_request_error"
    code: str | None = None
    message: str
    param: str | None = None
    event_id: str | None = None
    """Of the client's event that was at fault."""


class Error(ServerEvent):
    """Something went wrong, and the session goes on; after some, such as `session_expired`, it ends."""

    type: Literal["error"] = "error"
    error: ErrorDetail


class SessionTold(ServerEvent):
    """The settings in force."""

    type: Literal["session.created", "session.updated"]
    session: dict[str, Any]


class ConversationCreated(ServerEvent):
    """The conversation has begun."""

    type: Literal["conversation.created"] = "conversation.created"
    conversation: dict[str, Any]


class BufferCommitted(ServerEvent):
    """What the user said became a message."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    previous_item_id: str | None
    item_id: str


class BufferCleared(ServerEvent):
    """What was heard and is no turn yet is forgotten."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class SpeechStarted(ServerEvent):
    """The user begins to speak."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    audio_start_ms: int
    item_id: str


class SpeechStopped(ServerEvent):
    """The user has ended."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    audio_end_ms: int
    item_id: str


class TimeoutTriggered(ServerEvent):
    """The user has said nothing for long, so the server speaks up."""

    type: Literal["input_audio_buffer.timeout_triggered"] = "input_audio_buffer.timeout_triggered"
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ItemTold(ServerEvent):
    """A message is in the conversation, or is whole."""

    type: Literal["conversation.item.added", "conversation.item.done"]
    previous_item_id: str | None
    item: dict[str, Any]


class ItemRetrieved(ServerEvent):
    """A message with its audio."""

    type: Literal["conversation.item.retrieved"] = "conversation.item.retrieved"
    item: dict[str, Any]


class ItemDeleted(ServerEvent):
    """A message is forgotten."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str


class ItemTruncated(ServerEvent):
    """Of a reply only this much was heard."""

    type: Literal["conversation.item.truncated"] = "conversation.item.truncated"
    item_id: str
    content_index: int = 0
    audio_end_ms: int


class TranscriptionDelta(ServerEvent):
    """Words of the user, as they follow the earlier ones."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = "conversation.item.input_audio_transcription.delta"
    item_id: str
    content_index: int = 0
    delta: str


class TranscriptionCompleted(ServerEvent):
    """All words of a turn."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = "conversation.item.input_audio_transcription.completed"
    item_id: str
    content_index: int = 0
    transcript: str
    usage: dict[str, Any]


class TranscriptionFailed(ServerEvent):
    """The words could not be told."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = "conversation.item.input_audio_transcription.failed"
    item_id: str
    content_index: int = 0
    error: dict[str, Any]


class ResponseTold(ServerEvent):
    """A reply has begun, or has ended."""

    type: Literal["response.created", "response.done"]
    response: dict[str, Any]


class OutputItemTold(ServerEvent):
    """The message of a reply has begun, or is whole."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    response_id: str
    output_index: int = 0
    item: dict[str, Any]


class InPart(ServerEvent):
    """Base of what is told of the one part of a reply."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class PartTold(InPart):
    """The part of a reply has begun, or is whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    part: dict[str, Any]


class OutputDelta(InPart):
    """More of a reply: samples in base64, or words."""

    type: Literal["response.output_audio.delta", "response.output_audio_transcript.delta", "response.output_text.delta"]
    delta: str


class AudioDone(InPart):
    """No more samples come."""

    type: Literal["response.output_audio.done"] = "response.output_audio.done"


class TranscriptDone(InPart):
    """All words of what was spoken."""

    type: Literal["response.output_audio_transcript.done"] = "response.output_audio_transcript.done"
    transcript: str


class TextDone(InPart):
    """All words of a reply that is not spoken."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str


class OutputCleared(ServerEvent):
    """The reply is not to be played on."""

    type: Literal["output_audio_buffer.cleared"] = "output_audio_buffer.cleared"
    response_id: str


class RateLimits(ServerEvent):
    """How many replies may still be asked for."""

    type: Literal["rate_limits.updated"] = "rate_limits.updated"
    rate_limits: list[dict[str, Any]]


class EmotionDelta(ServerEvent):
    """How the user sounds."""

    type: Literal["x_emotion.delta"] = "x_emotion.delta"
    item_id: str
    """The turn, which may still be under way."""
    emotion: str
    scores: dict[str, float] | None
    """Probability of each emotion; none where the dialogue model has told the emotion alone."""
    audio_start_ms: int
    """What was listened to, counted as in `speech_started`."""
    audio_end_ms: int
    model: str
    """Who says so."""
    final: bool
    """Whether it is of the whole turn."""


class Frame(BaseModel):
    """Where the head points at one time, in degrees."""

    time_s: float
    """Of the user's audio since the session began."""
    roll: float
    pitch: float
    yaw: float


class HeadMotionDelta(ServerEvent):
    """How the listener's head moves."""

    type: Literal["x_head_motion.delta"] = "x_head_motion.delta"
    rate_hz: float
    frames: list[Frame]


def error_event(
    message: str, *, code: str, kind: str = "invalid_request_error", param: str | None = None, event_id: str | None = None
) -> Error:
    """The event that tells an error."""
    return Error(error=ErrorDetail(type=kind, code=code, message=message, param=param, event_id=event_id))
