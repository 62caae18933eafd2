"""Settings of the speech emotion endpoints. Imports no web framework, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.audio import AudioLimits
from rapport.core.config import Config
from rapport.serve_apps.http.settings import RequestLimits


class EmotionSettings(Config):
    """What the endpoints accept."""

    model_id: str = "ser"
    """Name of the model in requests and answers; `default` means it too."""
    requests: RequestLimits = RequestLimits()
    """Size, number and duration of requests."""
    audio: AudioLimits = AudioLimits(min_duration_s=0.1, max_duration_s=300, max_channels=2)
    """Which clips are accepted."""
    max_windows: int = Field(default=600, ge=1)
    """Most windows in one answer; a smaller hop_s is refused."""
    max_transcribe_s: float = Field(default=60.0, gt=0)
    """Longest clip whose words may be asked for: the transcriber is far slower than the classifier."""
    decode_threads: int = Field(default=2, ge=1)
    """Uploads decoded at the same time per ingress replica."""
    compatibility_routes: bool = True
    """Also answer POST /inference (field `audio`) and POST /analyze (field `file`), as an earlier service did."""
