"""Ray's torch trainer as our trainings want it."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2.api.callback import UserCallback
from ray.train.v2.api.config import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.torch.torch_trainer import TorchTrainer

from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.ray_jobs.training_runs.network import NodeNetwork
from rapport.ray_jobs.training_runs.run_folder import CHECKPOINTS


class LocalTrainer(TorchTrainer):
    """Without the process that frees resources after a driver's death: here Ray dies with its driver.

    That process asks the dashboard, which is not running, and would complain every second.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, PlacementGroupCleanerCallback)]


def make_trainer(
    work: Callable[[dict[str, Any]], dict[str, Any]],
    setup: Mapping[str, Any],
    workers: WorkersConfig,
    folder: str,
    callbacks: Sequence[UserCallback] = (),
) -> TorchTrainer:
    """The trainer of the run in a folder: each worker calls `work` with `setup` and `threads`, how many it may use.

    `callbacks` hear every report. Ray must be initialised.
    """
    # Ray's controller takes reports up once in this while, and a second report waits for the first: epochs may be shorter than 2 s.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # A Ray that was started for this job ends with it: there is no placement group to clean up after it, nor a node to be reclaimed.
    # In an actor, such as the trial of a search, it does not.
    own = not os.environ.get("RAY_ADDRESS") and ray.get_runtime_context().get_actor_id() is None
    if own:
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    least = workers.least or workers.count
    use_gpu = workers.use_gpu == "yes" or (workers.use_gpu == "auto" and ray.cluster_resources().get("GPU", 0) >= least)
    cpus = workers.cpus or max(1, int(ray.available_resources().get("CPU", 1)) // workers.count)
    kind = LocalTrainer if own else TorchTrainer
    return kind(
        work,
        torch_config=NodeNetwork(),
        train_loop_config={**setup, "threads": min(cpus, max(1, (os.cpu_count() or 1) // workers.count))},
        scaling_config=ScalingConfig(
            # A range, even of one, would have Ray look for room every minute.
            num_workers=workers.count if least == workers.count else (least, workers.count),
            use_gpu=use_gpu,
            resources_per_worker={"CPU": cpus, **({"GPU": 1} if use_gpu else {})},
        ),
        run_config=RunConfig(
            name=CHECKPOINTS,
            storage_path=folder,
            failure_config=FailureConfig(max_failures=workers.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            logging_config=LoggingConfig(log_level="WARNING"),
            callbacks=list(callbacks),
        ),
    )
