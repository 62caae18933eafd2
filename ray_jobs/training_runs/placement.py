"""How many trainings of a kind a cluster holds at once."""

from collections.abc import Mapping

from rapport.core.errors import RapportError
from rapport.ray_jobs.training_runs.config import WorkersConfig


def place(workers: WorkersConfig, wanted: int | None, resources: Mapping[str, float]) -> tuple[WorkersConfig, int]:
    """The workers of each training, with the processors that they get, and how many trainings run at once, at most `wanted`.

    Raises RapportError when not even one fits.
    """
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    on_gpu = workers.use_gpu == "yes" or (workers.use_gpu == "auto" and gpus >= workers.count)
    by_cpu = cpus // ((workers.cpus or 1) * workers.count)
    fitting = min(by_cpu, gpus // workers.count) if on_gpu else by_cpu
    if not fitting:
        raise RapportError(
            f"a trial wants {workers.count} workers, more than the cluster's {cpus} CPUs and {gpus} GPUs hold: workers.count"
        )
    concurrent = min(wanted or fitting, fitting)
    each = workers.cpus or max(1, cpus // (concurrent * workers.count))
    return workers.model_copy(update={"cpus": each, "use_gpu": "yes" if on_gpu else "no"}), concurrent
