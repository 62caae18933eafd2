"""RLlib's PPO for short dialogues.

RLlib lengthens each episode by a step that never happened, to hold the value after its end, leaves these steps out of the loss, but not out
of the mean and deviation by which advantages are standardised. Where an episode is one turn, they are half of all: every turn that did
happen then looks better than average, and whatever was tried first is tried ever more.
"""

from typing import Any

import torch
import tree
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.typing import ModuleID
from torch import Tensor


class RealTurns(ConnectorV2):
    """Leaves the turns that happened, their advantages standardised among themselves."""

    def __call__(self, *, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Of the batches of each module, with tensors [turns, ...]; modules have no memory, so turns are rows."""
        return {module: self._real(rows) if Columns.LOSS_MASK in rows else rows for module, rows in batch.items()}

    def _real(self, rows: dict[str, Any]) -> dict[str, Any]:
        happened = rows[Columns.LOSS_MASK].bool()
        kept: dict[str, Any] = tree.map_structure(lambda column: column[happened], rows)
        advantages: Tensor = kept[Postprocessing.ADVANTAGES]
        kept[Postprocessing.ADVANTAGES] = (advantages - advantages.mean()) / advantages.std(correction=0).clamp(min=1e-4)
        return kept


class AgentPpoLearner(PPOTorchLearner):
    """Learns from the turns that happened."""

    def configure_optimizers_for_module(self, module_id: ModuleID, config: Any = None) -> None:
        """Adam over all parameters at once: there are many, and all are small."""
        parameters = self.get_parameters(self.module[module_id])
        optimizer = torch.optim.Adam(parameters, foreach=True)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=parameters, lr_or_lr_schedule=config.lr)

    def build(self) -> None:
        super().build()
        assert self._learner_connector is not None
        self._learner_connector.append(RealTurns())
