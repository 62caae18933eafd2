"""Settings of asking a language model many prompts at once. Imports neither torch nor ray."""

from dataclasses import dataclass

from pydantic import Field

from rapport.core.config import Config
from rapport.models.erc.model_config import EngineConfig, ErcModelConfig


class RolloutConfig(Config):
    """Who writes the answers, and in what pieces."""

    actors: int | None = Field(default=None, ge=1)
    """Processes that hold the model; by default as many as the cluster has room for, and no more than there is work for."""
    cpus_per_actor: float = Field(default=1.0, gt=0)
    """Processors of each, where it has no GPU."""
    gpus_per_actor: float | None = Field(default=None, ge=0)
    """GPUs of each; by default one where the cluster has any, else none."""
    block_rows: int = Field(default=128, ge=1)
    """Prompts that travel to an actor together, and whose answers are kept together when a job is killed. vLLM works better with more."""
    engine: EngineConfig = EngineConfig()
    """What writes and scores."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model that actors can open: one to keep loaded, and adapters to put onto it."""

    model: str | ErcModelConfig
    """A model folder, or a base model before any training."""
    adapter: str | None = None
    """Folder of adapters, exchanged while the model stays loaded; None asks the model as it is."""
    base: str = ""
    """Where the base model of a folder's adapters lies now; empty is where it was."""
