"""Where the services of a simulator run. Imports no Ray, so that a job's `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config

Kind = Literal["judge", "ears", "voice", "pictures"]


class HostedConfig(Config):
    """One kind of service as actors or Serve replicas."""

    replicas: int = Field(default=1, ge=1)
    """Copies; a batch is shared out among them."""
    num_cpus: float = Field(default=0.25, ge=0)
    """CPUs that each copy reserves; a model on the CPU computes with this many threads."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that each copy reserves; a fraction shares one."""
    max_batch_size: int = Field(default=256, ge=1)
    """Most requests that a copy hands to its engine at once, of all who ask; a caller's own batch is never split."""


class HostsConfig(Config):
    """Where services run, and who shares them."""

    where: Literal["in_process", "actors", "serve"] = "in_process"
    """`in_process`: every process that asks has its own engines. `actors`: named Ray actors that all env runners share. `serve`: the app
    `simulator_services` on Ray Serve, which is deployed if it is not there yet."""
    kinds: tuple[Kind, ...] = ("judge", "ears", "voice", "pictures")
    """Services that run there; the others run in the process that asks, which is where a rule judge is quickest."""
    judge: HostedConfig = HostedConfig()
    """Copies of the judge."""
    ears: HostedConfig = HostedConfig()
    """Copies of the ears."""
    voice: HostedConfig = HostedConfig()
    """Copies of the voice."""
    pictures: HostedConfig = HostedConfig()
    """Copies of the maker of pictures."""
    retries: int = Field(default=3, ge=0)
    """How often a batch is given again to a copy that died under it and came back."""
    timeout_s: float = Field(default=300.0, gt=0)
    """Longest wait for an answer, and for a copy to start."""
