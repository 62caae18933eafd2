"""Settings of the endpoint for emotions in conversations. Imports no web framework, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.config import Config
from rapport.serve_apps.http.settings import RequestLimits


class ConversationSettings(Config):
    """What the endpoint accepts."""

    model_id: str = "coe"
    """Name of the model in requests and answers; `default` means it too. Its adapters are called `<model_id>:<name>`."""
    requests: RequestLimits = RequestLimits(max_upload_mib=4, request_timeout_s=60)
    """Size, number and duration of requests; of a streamed answer, the time between two of its parts."""
    max_dialogues: int = Field(default=32, ge=1)
    """Most dialogues in a request."""
    max_turns: int = Field(default=200, ge=1)
    """Most turns of a dialogue."""
    max_wanted: int = Field(default=512, ge=1)
    """Most turns that a request may ask about, of all its dialogues together."""
    max_personas: int = Field(default=50, ge=0)
    """Most people who are described in a dialogue."""
    max_characters: int = Field(default=2000, ge=1)
    """Longest text of a turn, a persona and a scene."""
    max_rationales: int = Field(default=32, ge=1)
    """Most turns that a request may ask reasons for: to write is far slower than to choose."""
    max_rationale_tokens: int = Field(default=192, ge=8)
    """Longest reasons; a model that was taught with less room keeps to that."""
