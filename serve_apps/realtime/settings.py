"""Settings of the realtime interface. Imports no web framework, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.config import Config


class RealtimeSettings(Config):
    """What is done for those who talk."""

    max_sessions: int = Field(default=16, ge=1, le=1024)
    """Sessions at a time in each replica of the front; the next one is told when to come back."""
    max_message_mib: float = Field(default=4.0, gt=0, le=16)
    """Longest message of a client."""
    max_turn_s: float = Field(default=30.0, ge=1, le=600)
    """Longest turn; what is longer is cut where the server tells turns apart, and refused where the client does."""
    max_typed_characters: int = Field(default=500, ge=1)
    """Longest message in writing: a voice reads it to the dialogue model, which only hears."""
    max_items: int = Field(default=100, ge=4, le=10_000)
    """Most messages in a conversation; of more, the oldest are forgotten."""
    max_kept_audio_s: float = Field(default=120.0, ge=1)
    """Most sound of a conversation that is kept for `conversation.item.retrieve` and later answers; of more, the oldest is forgotten."""
    max_responses_per_minute: int = Field(default=60, ge=1)
    """Most replies that a session may have in a minute."""
    max_unsent_mib: float = Field(default=8.0, gt=0)
    """Most that may wait for a client to take it. Head motion and emotions are left out from a quarter of it on; a client that lets more
    pile up is sent away."""
    idle_timeout_s: float = Field(default=60.0, ge=1)
    """A client of which nothing has come for this long is sent away."""
    max_session_s: float = Field(default=3600.0, ge=1)
    """A session of this length ends."""
    answer_timeout_s: float = Field(default=30.0, gt=0)
    """Longest time between two pieces of an answer; beyond it the answer has failed."""
    answer_ahead: bool = True
    """Whether an answer is begun 0.2 s into a pause, when all is known of how the turn sounds, and dropped when the user goes on. Replies
    come up to `silence_duration_ms` less 0.2 s sooner; the answers that are dropped are the price."""
    emotion_window_s: float = Field(default=3.0, ge=0.25, le=30)
    """How much of the voice is listened to for each `x_emotion.delta`."""
    emotion_strength: float = Field(default=0.8, ge=0, le=1.5)
    """How strongly replies act their emotion: 0 is neutral, 1 is strong."""
    max_answer_tokens: int = Field(default=256, ge=16)
    """Most tokens of an answer, transcript and reply together; a session may ask for fewer."""
