"""Settings that apps share. Imports no web framework, so that a job's `--help` stays quick."""

from typing import Any

from pydantic import Field

from rapport.core.config import Config
from rapport.core.errors import RapportError


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


class Replicas(Config):
    """How many copies of the model there are, and what each one holds."""

    min_replicas: int = Field(default=1, ge=1)
    """Copies when idle."""
    max_replicas: int = Field(default=1, ge=1)
    """Copies under load; more than the least switches autoscaling on."""
    target_ongoing_requests: float = Field(default=8.0, gt=0)
    """A copy is added when each has more requests than this, on average."""
    upscale_delay_s: float = Field(default=10.0, ge=0)
    """How long load must last before a copy is added."""
    downscale_delay_s: float = Field(default=300.0, ge=0)
    """How long it must be gone before one is taken away."""
    num_cpus: float = Field(default=1.0, ge=0)
    """CPUs that each copy reserves; a model on the CPU computes with this many threads."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs that each copy reserves; a fraction shares one."""

    def options(self, max_pending: int, *, at_once: int = 0) -> dict[str, Any]:
        """Arguments of `serve.deployment`: these copies, and queues that refuse what comes beyond `max_pending` requests.

        `at_once` is the least that a copy must take at a time, to fill its batches. Raises RapportError when most is less than least.
        """
        if self.max_replicas < self.min_replicas:
            raise RapportError(f"replicas.max_replicas is {self.max_replicas}: wanted {self.min_replicas} or more")
        scaling = {"min_replicas", "max_replicas", "target_ongoing_requests", "upscale_delay_s", "downscale_delay_s"}
        fixed = self.max_replicas == self.min_replicas
        return {
            **({"num_replicas": self.min_replicas} if fixed else {"autoscaling_config": self.model_dump(include=scaling)}),
            "ray_actor_options": {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus},
            "max_ongoing_requests": max(max_pending, at_once),
            "max_constructor_retry_count": 3,  # a model that does not load will not load the twentieth time either
            **bounded(max_pending),
        }


def bounded(max_pending: int) -> dict[str, Any]:
    """Arguments of `serve.deployment` that bound its queue: what comes beyond it is refused at once."""
    return {"max_queued_requests": max_pending, "backpressure_config": {"status_code": 429, "retry_after_s": 1}}


def front(replicas: int, max_pending: int) -> dict[str, Any]:
    """Arguments of `serve.deployment` for an HTTP front that works on `max_pending` requests at a time."""
    # Reading takes no place in the front's own count, hence the room beyond it: the front, not the proxy, should refuse.
    return {
        "num_replicas": replicas,
        "ray_actor_options": {"num_cpus": 0.25},  # so that an app fits on a computer with two cores
        "max_ongoing_requests": 2 * max_pending,
        **bounded(2 * max_pending),
    }
