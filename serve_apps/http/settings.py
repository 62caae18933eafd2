"""Settings of the shared HTTP layer. Imports no web framework, so that a job's `--help` stays quick."""

from pydantic import Field

from rapport.core.config import Config


class RequestLimits(Config):
    """What an app bears from its clients."""

    max_upload_mib: float = Field(default=25.0, gt=0, le=4096)
    """Larger bodies are refused with 413 before they are read, or at the byte that is too many."""
    upload_timeout_s: float = Field(default=60.0, gt=0)
    """A body that takes longer to arrive is refused with 408."""
    max_pending: int = Field(default=64, ge=1)
    """Requests for work under way per ingress replica, waiting ones included; the next one gets 429."""
    request_timeout_s: float = Field(default=30.0, gt=0)
    """A request that takes longer once its body is here is answered with 503."""
