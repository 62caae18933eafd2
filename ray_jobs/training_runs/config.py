"""Settings that every training shares. Imports neither torch nor ray."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config


class WorkersConfig(Config):
    """What the training runs on."""

    count: int = Field(default=1, ge=1)
    """Workers that share every batch."""
    least: int | None = Field(default=None, ge=1)
    """With how few workers to go on while the cluster holds no more; more join when there is room, up to count. Unless given, count."""
    use_gpu: Literal["auto", "yes", "no"] = "auto"
    """One GPU for each worker; auto takes them when the cluster has enough."""
    cpus: int | None = Field(default=None, ge=1)
    """Processors of each worker; by default those that are free, shared equally."""
    max_failures: int = Field(default=3, ge=-1)
    """How often workers that die are replaced, to go on from the last checkpoint; -1 is without end. Machines taken away do not count."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least is not None and self.least > self.count:
            raise ValueError(f"workers.least is {self.least}, more than workers.count, {self.count}")
        return self
