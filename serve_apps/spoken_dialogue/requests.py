"""What clients of the spoken dialogue endpoints send: OpenAI's shapes, with emotions where OpenAI has none.

Fields that OpenAI knows and this server does not are read over where they change nothing, such as `store`, and refused by name where an
answer without them would be another answer, such as `tools`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from rapport.core.errors import RapportError
from rapport.models.emosds.answer import emotion_named

_UNSUPPORTED = ("tools", "functions", "response_format", "logprobs", "stop", "prediction", "web_search_options")
_NO_CHANGE: tuple[Any, ...] = (None, False, [], {"type": "text"})


class Request(BaseModel):
    """Base of all requests: the sentence under a field is its description in the reference."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="ignore")


class InputAudio(Request):
    """A recording inside a message."""

    data: str = Field(examples=["UklGRiQAAABXQVZFZm10..."])
    """The file, base64: WAV, FLAC, Ogg, MP3, M4A, WebM and others, judged by content."""
    format: str | None = Field(default=None, max_length=100)
    """What kind of file it is, as OpenAI asks for; not needed here."""


class Part(Request):
    """A piece of a message."""

    type: Literal["text", "input_audio"]
    text: str = ""
    """The words, when `type` is `text`."""
    input_audio: InputAudio | None = None
    """The recording, when `type` is `input_audio`."""

    @model_validator(mode="after")
    def _has_its_content(self) -> "Part":
        if self.type == "input_audio" and self.input_audio is None:
            raise ValueError("a part of type input_audio wants the field input_audio, with the recording in its data")
        return self


def _kind_of_content(value: Any) -> str:
    return {str: "text", type(None): "none"}.get(type(value), "parts")


class SpokenBefore(Request):
    """The speech of an earlier answer, as the client got it."""

    transcript: str = ""
    """What was said; a server keeps no audio, and reads this where a message has no text."""


class Message(Request):
    """A turn of the conversation."""

    role: Literal["user", "assistant", "system", "developer"]
    """`system` and `developer` messages are read over: the model follows the instructions that it was trained with."""
    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[list[Part], Tag("parts")] | Annotated[None, Tag("none")], Discriminator(_kind_of_content)
    ] = None
    """The words, or parts. The last message must hold one recording; text beside a recording in it is not read."""
    audio: SpokenBefore | None = None
    """Speech of an earlier answer, when the message is one."""
    x_emotion: str | None = Field(default=None, examples=["sad"])
    """How the turn was said: `angry`, `happy`, ... or a tag of the model such as `<sadness>`. A tag may also begin the text."""

    @field_validator("x_emotion")
    @classmethod
    def _known_emotion(cls, value: str | None) -> str | None:
        return None if value is None else _emotion(value)

    @property
    def text(self) -> str:
        """The words, where there are any."""
        if isinstance(self.content, str):
            return self.content
        parts = [part.text for part in self.content or () if part.type == "text"]
        return " ".join(parts) or (self.audio.transcript if self.audio else "")

    @property
    def recordings(self) -> Sequence[InputAudio]:
        """The recordings in it."""
        if self.content is None or isinstance(self.content, str):
            return ()
        return [part.input_audio for part in self.content if part.type == "input_audio" and part.input_audio]


class CustomVoice(Request):
    """A voice by its id."""

    id: str = Field(max_length=100)


VoiceName = Annotated[str, Field(max_length=100)] | CustomVoice


def name_of(voice: VoiceName | None, default: str) -> str:
    """The name that is meant."""
    return default if voice is None else voice if isinstance(voice, str) else voice.id


class AudioOut(Request):
    """How the reply is to be spoken."""

    voice: VoiceName | None = None
    """A voice of `GET /v1/models`, or one of OpenAI's names."""
    format: Literal["wav", "flac", "mp3", "opus", "aac", "pcm16"] = "wav"
    """Kind of file, 24 kHz; `pcm16` is samples alone. A streamed file comes in consecutive parts."""


class StreamOptions(Request):
    """What a stream tells besides."""

    include_usage: bool = False
    """Also send a last chunk that counts tokens."""


class ChatRequest(Request):
    """A conversation whose last message is speech."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "emosds",
                    "modalities": ["text", "audio"],
                    "audio": {"voice": "alloy", "format": "wav"},
                    "messages": [
                        {"role": "assistant", "content": "Did you catch the bus?", "x_emotion": "neutral"},
                        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "UklGR...", "format": "wav"}}]},
                    ],
                }
            ]
        }
    )

    model: str = Field(default="default", max_length=200)
    messages: list[Message] = Field(min_length=1)
    """The conversation, oldest first. The model reads the last few turns before the recording."""
    modalities: list[Literal["text", "audio"]] | None = None
    """`audio` asks for the reply as speech too."""
    audio: AudioOut | None = None
    """Voice and kind of file, when `modalities` has `audio`."""
    stream: bool | None = False
    """Answer with server-sent events as the reply is written."""
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0, the default, takes the likeliest words."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of transcript and reply together."""
    max_completion_tokens: int | None = Field(default=None, ge=1)
    """The same under its newer name."""
    n: Literal[1] | None = None
    """One answer a request."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_unsupported(cls, value: Any) -> Any:
        if isinstance(value, dict):
            asked = [name for name in _UNSUPPORTED if value.get(name) not in _NO_CHANGE]
            if asked:
                raise ValueError(f"this model has no {asked[0]}: leave it out")
        return value

    @property
    def speaks(self) -> bool:
        """Whether the reply is wanted as speech."""
        return "audio" in (self.modalities or ())


class SpeechRequest(Request):
    """A text to speak."""

    input: str
    """The text."""
    model: str = Field(default="tts", max_length=200)
    voice: VoiceName | None = None
    """A voice of `GET /v1/models`, or one of OpenAI's names."""
    x_emotion: str = Field(default="neutral", examples=["happy"])
    """How it is said: `angry`, `happy`, `sad`, ... or a tag of the dialogue model such as `<sadness>`."""
    x_strength: float | None = Field(default=None, ge=0, le=1.5)
    """How strongly the emotion is acted: 0 is neutral, 1 is strong."""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    """Kind of file, 24 kHz; `pcm` is 16-bit little-endian samples alone."""
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    """Tempo, as a multiple."""

    @field_validator("x_emotion")
    @classmethod
    def _known_emotion(cls, value: str) -> str:
        return _emotion(value)


def _emotion(name: str) -> str:
    try:
        return emotion_named(name)
    except RapportError as error:
        raise ValueError(str(error)) from error
