"""The settings of a session as OpenAI's Realtime interface has them, and how `session.update` changes them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rapport.serve_apps.realtime.errors import ProtocolError, refusal

RATE_HZ: Literal[24000] = 24_000
"""Rate of all audio of the protocol."""


class Part(BaseModel):
    """Base of the settings: what this server has none of is read over, and shows as absent in `session.updated`."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class Pcm(Part):
    """16-bit little-endian samples, one channel."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = RATE_HZ


class Transcription(Part):
    """Whether and by whom the user's words are told."""

    model: str | None = Field(default=None, max_length=200)
    """The dialogue model, or `asr`; unless given, the one that is there, the dialogue model before the other."""
    language: str | None = Field(default=None, max_length=35)


class ServerVad(Part):
    """The server tells when the user begins and ends to speak."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0, le=1)
    """How clear and loud a voice must be."""
    prefix_padding_ms: int = Field(default=300, ge=0, le=2000)
    """Sound from before the voice that belongs to the turn."""
    silence_duration_ms: int = Field(default=500, ge=100, le=5000)
    """A pause of this length ends the turn."""
    create_response: bool = True
    """Answer when a turn ends."""
    interrupt_response: bool = True
    """Fall silent when the user begins to speak."""
    idle_timeout_ms: int | None = Field(default=None, ge=5000, le=30_000)
    """Speak up when the user has said nothing for this long after a reply."""


class AudioInput(Part):
    """What comes from the user."""

    format: Pcm = Pcm()
    transcription: Transcription | None = Transcription()
    turn_detection: ServerVad | None = ServerVad()
    """None leaves it to the client: `input_audio_buffer.commit`, then `response.create`."""
    noise_reduction: None = None

    @field_validator("noise_reduction", mode="before")
    @classmethod
    def _there_is_none(cls, value: Any) -> None:
        return None


class AudioOutput(Part):
    """What the user hears."""

    format: Pcm = Pcm()
    voice: str = Field(default="alloy", max_length=100)
    speed: float = Field(default=1.0, ge=0.25, le=1.5)

    @field_validator("voice", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return voice_name(value)


class Audio(Part):
    """Both ways."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class EmotionLooks(Part):
    """How often the emotion is told while the user speaks."""

    hop_ms: int = Field(default=500, ge=200, le=10_000)


class HeadMotion(Part):
    """The listener's head."""

    rate_hz: float | None = Field(default=None, ge=25, le=60)
    """Poses a second; the model's own unless given."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Draws the motion; without one it is the most probable."""


class SessionConfig(Part):
    """All settings of a session."""

    type: Literal["realtime"] = "realtime"
    model: str = Field(default="default", max_length=200)
    output_modalities: list[Literal["text", "audio"]] = Field(default=["audio"], min_length=1, max_length=2)
    """`audio` brings the words too."""
    instructions: str = Field(default="", max_length=20_000)
    """Kept and not followed: the model has learned how to talk."""
    max_output_tokens: Annotated[int, Field(ge=1)] | Literal["inf"] = "inf"
    audio: Audio = Audio()
    tools: list[Any] = Field(default=[], max_length=0)
    tool_choice: Literal["auto", "none"] = "auto"
    x_emotion: EmotionLooks | None = EmotionLooks()
    """None tells no emotion while the user speaks."""
    x_head_motion: HeadMotion | None = HeadMotion()
    """None moves no head."""


def updated(config: SessionConfig, patch: Mapping[str, Any]) -> SessionConfig:
    """The settings with what is given changed; null where a setting may be absent takes it away. Raises ProtocolError for a bad value."""
    if patch.get("model", config.model) != config.model:
        raise ProtocolError("the model of a session cannot be changed: connect again with ?model=...", param="session.model")
    try:
        return SessionConfig.model_validate(_merged(config.model_dump(), patch))
    except ValidationError as error:
        raise refusal(error, within=("session",)) from error


def voice_name(value: Any) -> Any:
    """The name of a voice that may come as `{"id": name}`."""
    return value.get("id") if isinstance(value, Mapping) else value


def _merged(known: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(known)
    for name, value in patch.items():
        if name not in known:
            continue
        before = known[name]
        merged[name] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged
