"""Builds the algorithm that a configuration asks for, on RLlib's new API stack."""

import logging
from dataclasses import dataclass
from typing import Any, Literal

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.torch import TorchRLModule

from rapport.models.spolacq.policy import AgentPolicy, Layout
from rapport.models.spolacq.policy_config import PolicyConfig
from rapport.ray_jobs.agent_training.modules import (
    BanditModule,
    BoxModule,
    FactoredModule,
    QuantileModule,
    module_spec,
    policy_of,
)
from rapport.ray_jobs.agent_training.off_policy import (
    AgentSacConfig,
    AgentSacLearner,
    AgentTqcConfig,
    AgentTqcLearner,
    BanditConfig,
)
from rapport.ray_jobs.agent_training.on_policy import AgentPpoLearner
from rapport.ray_jobs.agent_training.settings import AlgorithmName, LearningConfig

ACTIONS: dict[AlgorithmName, Literal["factored", "box", "feature"]] = {"ppo": "factored", "sac": "box", "tqc": "box", "bandit": "feature"}
"""How the environment of an algorithm takes actions (see `rapport.simulator.agent_env`)."""
MODULES: dict[AlgorithmName, type[TorchRLModule]] = {
    "ppo": FactoredModule,
    "sac": BoxModule,
    "tqc": QuantileModule,
    "bandit": BanditModule,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an algorithm is built from."""

    learning: LearningConfig
    policy: PolicyConfig
    layout: Layout
    environment: str
    """A name that an environment creator was registered under (`ray.tune.register_env`)."""
    environment_config: dict[str, Any]
    """What the creator is given."""
    seed: int

    def policy_of(self, algorithm: Algorithm) -> AgentPolicy:
        """What the algorithm has learned so far."""
        learners: Any = algorithm.learner_group
        weights = learners.get_weights()
        return policy_of(MODULES[self.learning.algorithm], self.layout, self.policy, next(iter(weights.values())))


def build(plan: Plan) -> Algorithm:
    """The algorithm, its runners started. Ray must be running."""
    # They warn of being on the new API stack, of themselves, and of a monitor of GPUs that they would like.
    for name in ("ray.rllib", "ray.tune", "ray._common.deprecation"):
        logging.getLogger(name).setLevel(logging.ERROR)
    learning = plan.learning
    config = {"ppo": _ppo, "sac": _sac, "tqc": _tqc, "bandit": _bandit}[learning.algorithm](plan)
    config = (
        config.environment(plan.environment, env_config=plan.environment_config)
        .env_runners(
            num_env_runners=learning.runners,
            num_envs_per_env_runner=learning.sessions,
            gym_env_vectorize_mode="vector_entry_point",
            sample_timeout_s=learning.sample_timeout_s,
        )
        # Actions are in the environment's own units, which brings what lies beyond its limits to them itself, in one go for all rows.
        .environment(normalize_actions=False, clip_actions=False)
        .learners(num_learners=0)
        .reporting(
            # Never by the clock: an iteration must be the same on every computer.
            min_time_s_per_iteration=0,
            min_sample_timesteps_per_iteration=0 if learning.algorithm == "ppo" else learning.turns_per_iteration,
        )
        .debugging(seed=plan.seed, log_level="ERROR")
    )
    return config.build_algo()


def _ppo(plan: Plan) -> AlgorithmConfig:
    ppo = plan.learning.ppo
    return (
        PPOConfig()
        .rl_module(rl_module_spec=module_spec(FactoredModule, plan.layout, plan.policy))
        .training(
            gamma=ppo.gamma,
            lambda_=ppo.lambda_,
            lr=ppo.lr,
            train_batch_size_per_learner=ppo.batch_size,
            minibatch_size=min(ppo.minibatch_size, ppo.batch_size),
            num_epochs=ppo.epochs,
            clip_param=ppo.clip,
            entropy_coeff=ppo.choice_entropy,
            vf_loss_coeff=ppo.value_weight,
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            grad_clip=ppo.clip_norm,
            grad_clip_by="global_norm",
        )
        .learners(learner_class=AgentPpoLearner)
        # Gradients are not looked through at every step: a loss that is no number ends the learning (`learning.py`).
        .framework(torch_skip_nan_gradients=True)
    )


def _sac(plan: Plan) -> AlgorithmConfig:
    config = AgentSacConfig().rl_module(rl_module_spec=module_spec(BoxModule, plan.layout, plan.policy, **_sharpness(plan)))
    return _soft(config, plan).learners(learner_class=AgentSacLearner)


def _tqc(plan: Plan) -> AlgorithmConfig:
    tqc = plan.learning.tqc
    sizes = {"critics": tqc.critics, "quantiles": tqc.quantiles, "dropped": tqc.dropped}
    config = AgentTqcConfig().rl_module(rl_module_spec=module_spec(QuantileModule, plan.layout, plan.policy, **sizes, **_sharpness(plan)))
    config.training(n_critics=tqc.critics, n_quantiles=tqc.quantiles, top_quantiles_to_drop_per_net=tqc.dropped)
    return _soft(config, plan).learners(learner_class=AgentTqcLearner)


def _sharpness(plan: Plan) -> dict[str, float]:
    return {"choice_sharpness": (plan.learning.tqc if plan.learning.algorithm == "tqc" else plan.learning.sac).choice_sharpness}


def _soft(config: AgentSacConfig | AgentTqcConfig, plan: Plan) -> AlgorithmConfig:
    """What SAC and TQC have in common."""
    soft = plan.learning.tqc if plan.learning.algorithm == "tqc" else plan.learning.sac
    config.off_policy = {"replay": soft.replay, "learning_starts": soft.learning_starts, "updates_per_turn": soft.updates_per_turn}
    return config.training(
        gamma=soft.gamma,
        actor_lr=soft.actor_lr,
        critic_lr=soft.critic_lr,
        alpha_lr=soft.temperature_lr,
        initial_alpha=soft.initial_temperature,
        target_entropy=soft.entropy_per_dimension * (plan.layout.pictures - 1 + plan.layout.sentence),
        twin_q=True,
        tau=soft.target_rate,
        # At every step of the optimiser, not every so many turns.
        target_network_update_freq=0,
        train_batch_size_per_learner=soft.batch_size,
        num_steps_sampled_before_learning_starts=0,
        replay_buffer_config=_UNUSED_BUFFER,
    )


def _bandit(plan: Plan) -> AlgorithmConfig:
    bandit = plan.learning.bandit
    config = BanditConfig().rl_module(rl_module_spec=module_spec(BanditModule, plan.layout, plan.policy, noise=bandit.noise))
    config.policy_delay = bandit.policy_delay
    config.off_policy = {
        "replay": bandit.replay,
        "learning_starts": bandit.learning_starts,
        "updates_per_turn": 1 / bandit.turns_per_update,
    }
    return config.training(lr=bandit.lr, gamma=0.0, train_batch_size_per_learner=bandit.batch_size, replay_buffer_config=_UNUSED_BUFFER)


_UNUSED_BUFFER = {"type": "EpisodeReplayBuffer", "capacity": 1}
"""RLlib's algorithms insist on one of their own; ours learn from `replay.Turns`."""
