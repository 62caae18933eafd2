"""Settings of the head motion endpoints. Imports no web framework, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.audio import AudioLimits
from rapport.core.config import Config
from rapport.serve_apps.http.settings import RequestLimits


class StreamSettings(Config):
    """What a replica does for those who stream."""

    max_sessions: int = Field(default=32, ge=1, le=1024)
    """Streams at a time in each replica; the next one is told when to come back."""
    tick_s: float = Field(default=0.005, ge=0, le=0.1)
    """How long audio waits for that of other streams, to move all of them in one product. 0 moves what is there."""
    max_waiting_s: float = Field(default=1.0, ge=0.1, le=60)
    """Audio that may wait in a stream; of more, the oldest is dropped."""
    max_unread_s: float = Field(default=1.0, ge=0.5, le=60)
    """Poses that may be on the way to a client unacknowledged, and as many that may wait behind them; of more, the oldest are dropped."""
    lost_after_s: float = Field(default=0.25, ge=0.05, le=10)
    """Audio that is overdue by this much counts as lost: the pose is held, then left for the resting pose."""
    gone_after_s: float = Field(default=4.0, ge=0.5, le=600)
    """A client of which nothing has come for this long, neither audio nor a message, loses its place. So does one that has never
    acknowledged a pose, this long after it should have."""
    max_message_mib: float = Field(default=4.0, gt=0, le=16)
    """Longest message of a client; a resume token is the longest there is."""


class MotionSettings(Config):
    """What the endpoints accept."""

    model_id: str = "listener"
    """Name of the model in requests and answers; `default` means it too."""
    requests: RequestLimits = RequestLimits(max_pending=16, request_timeout_s=60)
    """Size, number and duration of requests; streams have limits of their own."""
    audio: AudioLimits = AudioLimits(min_duration_s=0.1, max_duration_s=600, max_channels=2)
    """Which recordings are accepted."""
    stream: StreamSettings = StreamSettings()
    """What is done for those who stream."""
    decode_threads: int = Field(default=2, ge=1)
    """Uploads decoded at the same time per replica."""
