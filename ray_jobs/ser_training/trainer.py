"""Ray's torch trainer, less what a Ray on one computer cannot use."""

from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2.torch.torch_trainer import TorchTrainer


class LocalTrainer(TorchTrainer):
    """Without the process that frees resources after a driver's death: here Ray dies with its driver.

    That process asks the dashboard, which is not running, and would complain every second.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, PlacementGroupCleanerCallback)]
