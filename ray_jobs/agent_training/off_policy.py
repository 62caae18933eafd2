"""RLlib's SAC and TQC, and the published bandit, learning from `replay.Turns`; and learners whose whole state goes to a checkpoint."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn.dqn import DQN, DQNConfig
from ray.rllib.algorithms.sac.sac import SAC, SACConfig
from ray.rllib.algorithms.sac.torch.sac_torch_learner import SACTorchLearner
from ray.rllib.algorithms.tqc.torch.tqc_torch_learner import TQCTorchLearner
from ray.rllib.algorithms.tqc.tqc import TQC, TQCConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, ENV_RUNNER_SAMPLING_TIMER, LEARNER_RESULTS, LEARNER_UPDATE_TIMER, TIMERS
from torch import Tensor

from rapport.ray_jobs.agent_training.replay import Turns

Batch = dict[str, Any]
_CRITIC, _ACTOR = "critic", "actor"


class OffPolicy(Algorithm):
    """Gather turns, remember them, take as many steps of the optimiser as they are worth."""

    # RLlib has them all as None until an algorithm is set up.
    config: Any
    metrics: Any
    env_runner_group: Any
    learner_group: Any

    def setup(self, config: Any) -> None:
        super().setup(config)
        settings = self.config.off_policy
        self.turns = Turns(settings["replay"], self.config.seed)
        self.updates_owed = 0.0

    def training_step(self) -> None:
        """One gathering, and the steps of the optimiser that go with it."""
        settings = self.config.off_policy
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            gathered: Any = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                concat=True,
                sample_timeout_s=self.config.sample_timeout_s,
                _uses_new_env_runners=True,
                _return_metrics=True,
            )
        episodes, results = gathered
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        self.updates_owed += self.turns.add(episodes) * settings["updates_per_turn"]
        if len(self.turns) < settings["learning_starts"]:
            self.updates_owed = 0.0
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            while self.updates_owed >= 1.0:
                self.updates_owed -= 1.0
                self.metrics.aggregate(self.learner_group.update(batch=self._batch()), key=LEARNER_RESULTS)
        self.env_runner_group.sync_weights(from_worker_or_learner_group=self.learner_group, inference_only=True)

    def _batch(self) -> MultiAgentBatch:
        size = self.config.train_batch_size_per_learner
        drawn = self.turns.sample(size)
        # What RLlib's losses read besides: turns are single steps, and all count alike.
        ones = torch.ones(size)
        tensors = {name: torch.from_numpy(array) for name, array in drawn.items()}
        return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch({**tensors, "n_step": ones, "weights": ones})}, env_steps=size)


class _OffPolicySettings(AlgorithmConfig):
    """Adds `off_policy`: replay, learning_starts, updates_per_turn."""

    off_policy: Mapping[str, Any] = {"replay": 1_000, "learning_starts": 0, "updates_per_turn": 1.0}


class AgentSacConfig(SACConfig, _OffPolicySettings):
    """Settings of `AgentSac`."""

    def __init__(self) -> None:
        super().__init__(algo_class=AgentSac)


class AgentSac(OffPolicy, SAC):
    """Soft actor-critic."""


class AgentTqcConfig(TQCConfig, _OffPolicySettings):
    """Settings of `AgentTqc`."""

    def __init__(self) -> None:
        super().__init__(algo_class=AgentTqc)


class AgentTqc(OffPolicy, TQC):
    """Truncated quantile critics."""


class BanditConfig(DQNConfig, _OffPolicySettings):
    """Settings of `Bandit`."""

    def __init__(self) -> None:
        super().__init__(algo_class=Bandit)
        self.policy_delay = 2

    def get_default_learner_class(self) -> type[TorchLearner]:
        return BanditLearner


class Bandit(OffPolicy, DQN):
    """The published algorithm."""


class _KeepsTemperature(SACTorchLearner):
    """RLlib's own learners forget the weight of the entropy when they are saved."""

    def get_state(self, *args: Any, **kwargs: Any) -> Batch:
        state: Batch = super().get_state(*args, **kwargs)
        state["log_temperature"] = self._log_temperature().item()
        return state

    def set_state(self, state: Batch) -> None:
        super().set_state(state)
        if "log_temperature" in state:
            with torch.no_grad():
                self._log_temperature().fill_(state["log_temperature"])

    def _log_temperature(self) -> Tensor:
        temperature: Any = self.curr_log_alpha[DEFAULT_MODULE_ID]
        assert isinstance(temperature, Tensor)
        return temperature


class AgentSacLearner(_KeepsTemperature):
    """Soft actor-critic."""


class AgentTqcLearner(_KeepsTemperature, TQCTorchLearner):  # type: ignore[misc]  # RLlib's own bases disagree
    """Truncated quantile critics."""

    def compute_loss_for_module(self, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            # Every quantile is compared with every other by broadcasting, which torch takes for a mistake at each step.
            warnings.filterwarnings("ignore", message="Using a target size")
            loss: Any = super().compute_loss_for_module(**kwargs)
        return loss


class BanditLearner(TorchLearner):
    """The critic learns the reward of the turn; every few steps, the actor learns to please the critic."""

    config: Any

    def build(self) -> None:
        super().build()
        self.steps = 0
        self._losses: dict[str, Tensor] = {}

    def configure_optimizers_for_module(self, module_id: str, config: AlgorithmConfig | None = None) -> None:
        module: Any = self.module[module_id]
        rate = (config or self.config).lr
        for name, part in ((_CRITIC, module.critic), (_ACTOR, module.actor)):
            params = self.get_parameters(part)
            self.register_optimizer(
                module_id=module_id, optimizer_name=name, optimizer=torch.optim.Adam(params), params=params, lr_or_lr_schedule=rate
            )

    def compute_loss_for_module(self, *, module_id: str, config: AlgorithmConfig, batch: Batch, fwd_out: Batch) -> Tensor:
        critic = torch.nn.functional.mse_loss(fwd_out["worth"], batch[Columns.REWARDS])
        actor = -fwd_out["worth_of_actor"].mean()
        self._losses = {_CRITIC: critic, _ACTOR: actor}
        self.metrics.log_dict({"critic_loss": critic, "policy_loss": actor}, key=module_id, window=1)
        return critic + actor

    def compute_gradients(self, loss_per_module: Mapping[str, Any], **_: Any) -> dict[Any, Tensor | None]:
        self.steps += 1
        gradients: dict[Any, Tensor | None] = {}
        for module_id in loss_per_module:
            for name, optimizer in self.get_optimizers_for_module(module_id):
                optimizer.zero_grad(set_to_none=True)
                if name == _ACTOR and self.steps % self.config.policy_delay:
                    continue
                self._losses[name].backward()
                gradients.update({key: p.grad for key, p in self.filter_param_dict_for_optimizer(self._params, optimizer).items()})
        return gradients

    def get_state(self, *args: Any, **kwargs: Any) -> Batch:
        return {**super().get_state(*args, **kwargs), "bandit_steps": self.steps}

    def set_state(self, state: Batch) -> None:
        super().set_state(state)
        self.steps = state.get("bandit_steps", self.steps)
