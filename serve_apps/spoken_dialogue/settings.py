"""Settings of the spoken dialogue endpoints. Imports no web framework, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.audio import AudioLimits
from rapport.core.config import Config
from rapport.serve_apps.http.settings import RequestLimits


class DialogueSettings(Config):
    """What the endpoints accept."""

    model_id: str = "emosds"
    """Name of the dialogue model in requests and answers; `default` means it too."""
    requests: RequestLimits = RequestLimits(request_timeout_s=60)
    """Size, number and duration of requests; of a streamed answer, the time between two of its parts."""
    audio: AudioLimits = AudioLimits(min_duration_s=0.1, max_duration_s=30, max_channels=2)
    """Which recordings may be answered."""
    max_transcribe_s: float = Field(default=300.0, gt=0)
    """Longest recording that is transcribed; it is heard in pieces, cut in its pauses."""
    piece_s: float = Field(default=12.0, ge=1)
    """Longest of these pieces."""
    max_messages: int = Field(default=200, ge=1)
    """Most messages in a request; the model reads the last few."""
    max_message_characters: int = Field(default=4096, ge=1)
    """Longest text of a message, and longest text to speak."""
    max_answer_tokens: int = Field(default=256, ge=16)
    """Most tokens of an answer, transcript and reply together; a request may ask for fewer."""
    voice: str = "alloy"
    """Who speaks unless a request names another: a voice of the engine, or a name that OpenAI uses."""
    emotion_strength: float = Field(default=0.8, ge=0, le=1.5)
    """How strongly replies act their emotion: 0 is neutral, 1 is strong."""
    decode_threads: int = Field(default=2, ge=1)
    """Recordings decoded at the same time per ingress replica."""
