"""Settings that every training shares. Imports neither torch nor ray."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config


class WorkersConfig(Config):
    """What the training runs on."""

    count: int = Field(default=1, ge=1)
    """Workers that share every batch."""
    use_gpu: Literal["auto", "yes", "no"] = "auto"
    """One GPU for each worker; auto takes them when the cluster has enough."""
    cpus: int | None = Field(default=None, ge=1)
    """Processors of each worker; by default those that are free, shared equally."""
    max_failures: int = Field(default=3, ge=-1)
    """How often workers that die are replaced, to go on from the last checkpoint; -1 is without end."""
