"""The networks of an agent as RLModules: what RLlib's algorithms sample from and learn.

`FactoredModule` (ppo)    action {image: one of P, sentence: [Z]}
`BoxModule` (sac)         action [P - 1 + Z] within plus and minus 1: logits of the pictures after the first, whose own is 0; then the
                          sentence embedding, scaled
`QuantileModule` (tqc)    the same
`BanditModule` (bandit)   action [F + Z]: the features of the chosen picture, and the sentence embedding

Every one keeps its actor in `actor`, so that a policy is made of any of them by `policy_of`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from ray.rllib.algorithms.sac.torch.default_sac_torch_rl_module import DefaultSACTorchRLModule
from ray.rllib.algorithms.tqc.torch.default_tqc_torch_rl_module import DefaultTQCTorchRLModule
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import (
    TorchCategorical,
    TorchDeterministic,
    TorchDiagGaussian,
    TorchMultiDistribution,
    TorchSquashedGaussian,
)
from ray.rllib.core.models.base import ENCODER_OUT
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor, nn

from rapport.models.spolacq.policy import Actor, AgentPolicy, ChoiceCritic, FeatureCritic, Layout, Value
from rapport.models.spolacq.policy_config import PolicyConfig

Batch = dict[str, Any]


def module_spec(kind: type[TorchRLModule], layout: Layout, policy: PolicyConfig, **more: Any) -> RLModuleSpec:
    """What RLlib builds a module from."""
    settings = {"layout": asdict(layout), "policy": policy.model_dump(mode="json"), **more}
    catalog: Any = _NoCatalog
    return RLModuleSpec(module_class=kind, model_config=settings, catalog_class=catalog)


def policy_of(kind: type[TorchRLModule], layout: Layout, policy: PolicyConfig, weights: Mapping[str, Any]) -> AgentPolicy:
    """What is left of a module when nothing is tried out any more; `weights` are those of the module."""
    squashed = issubclass(kind, BoxModule | QuantileModule)
    deviations = 0 if issubclass(kind, BanditModule) else layout.sentence + squashed * (layout.pictures - 1)
    left = AgentPolicy(layout, policy, deviations=deviations, squashed=squashed)
    prefix = "pi.actor." if squashed else "actor."
    left.actor.load_state_dict({k.removeprefix(prefix): torch.as_tensor(v) for k, v in weights.items() if k.startswith(prefix)})
    return left.eval()


class _NoCatalog:
    """RLlib's catalogs guess networks from spaces; these modules bring their own, and ask only for the distribution of a bounded box."""

    def __init__(self, **_: Any) -> None:
        pass

    def get_action_dist_cls(self, framework: str) -> type[TorchSquashedGaussian]:
        return TorchSquashedGaussian


def _settings(module: TorchRLModule) -> tuple[Layout, PolicyConfig, dict[str, Any]]:
    """What `module_spec` was given."""
    settings: Any = module.model_config
    return Layout(**settings["layout"]), PolicyConfig.model_validate(settings["policy"]), settings


class FactoredDistribution(TorchMultiDistribution):
    """A picture and a sentence embedding, drawn apart. Its entropy is that of the picture."""

    @classmethod
    def of(cls, pictures: int) -> Any:
        """The distribution of so many pictures."""
        parent: Any = cls  # RLlib declares it as a method of instances
        return parent.get_partial_dist_cls(pictures=pictures)

    @classmethod
    def from_logits(cls, logits: Tensor, pictures: int = 2, **_: Any) -> "FactoredDistribution":  # type: ignore[override]
        """Of [B, P + 2Z]: scores of the pictures, means, logarithms of deviations."""
        scores, sentence = logits[..., :pictures], logits[..., pictures:]
        return cls({"image": TorchCategorical.from_logits(scores), "sentence": TorchDiagGaussian.from_logits(sentence)})

    def entropy(self, **_: Any) -> Tensor:
        """[B], in nats."""
        parts: Any = self._original_struct
        entropy: Tensor = parts["image"].entropy()
        return entropy


class FactoredModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """Actor and value for proximal policy optimisation."""

    def setup(self) -> None:
        layout, policy, _ = _settings(self)
        self.action_dist_cls = FactoredDistribution.of(layout.pictures)
        self.actor = Actor(layout, policy, deviations=layout.sentence)
        self.value = Value(layout, policy)

    def get_non_inference_attributes(self) -> list[str]:
        return ["value"]

    def _forward(self, batch: Batch, **_: Any) -> Batch:
        choice = self.actor(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: torch.cat([choice.scores, choice.sentence, choice.log_deviation], -1)}

    def compute_values(self, batch: Batch, embeddings: Any = None) -> Tensor:
        values: Tensor = self.value(batch[Columns.OBS])
        return values


class _Seen(nn.Module):
    """In the place where RLlib's modules have an encoder: passes on what the actor below reads."""

    def forward(self, batch: Batch) -> Batch:
        return {ENCODER_OUT: batch[Columns.OBS]}


class _Done(nn.Module):
    """The same for critics."""

    def forward(self, batch: Batch) -> Batch:
        return {ENCODER_OUT: (batch[Columns.OBS], batch[Columns.ACTIONS])}


class _BoxActor(nn.Module):
    """Observations to mean and logarithm of the deviation of an action before it is squashed, [B, 2 (P - 1 + Z)]."""

    def __init__(self, layout: Layout, policy: PolicyConfig) -> None:
        super().__init__()
        self.actor, self.limit = Actor(layout, policy, deviations=layout.pictures - 1 + layout.sentence), layout.limit

    def forward(self, observations: Tensor) -> Tensor:
        choice = self.actor(observations)
        logits = choice.scores[:, 1:] - choice.scores[:, :1]
        return torch.cat([logits, choice.sentence / self.limit, choice.log_deviation], -1)


class _BoxCritic(nn.Module):
    """Observations and actions [B, P - 1 + Z] to what they are worth, [B, n]: between the worth of the pictures, steep where one choice
    turns into another, so that the actor can tell which way is better.
    """

    def __init__(self, layout: Layout, policy: PolicyConfig, sharpness: float, estimates: int) -> None:
        super().__init__()
        self.critic = ChoiceCritic(layout, policy, estimates)
        self.others, self.limit, self.sharpness = layout.pictures - 1, layout.limit, sharpness

    def forward(self, observed: tuple[Tensor, Tensor]) -> Tensor:
        observations, actions = observed
        logits, sentences = actions[:, : self.others], actions[:, self.others :]
        shares = torch.softmax(self.sharpness * nn.functional.pad(logits, (1, 0)), -1)
        return (shares.unsqueeze(-1) * self.critic(observations, self.limit * sentences)).sum(1)


class BoxModule(DefaultSACTorchRLModule):
    """Actor and twin critics for soft actor-critic."""

    def setup(self) -> None:
        layout, policy, settings = _settings(self)
        self.twin_q = True
        self.pi_encoder, self.pi = _Seen(), _BoxActor(layout, policy)
        if not self.inference_only:
            sharpness = settings["choice_sharpness"]
            self.qf_encoder, self.qf_twin_encoder = _Done(), _Done()
            self.qf, self.qf_twin = (_BoxCritic(layout, policy, sharpness, 1) for _ in range(2))


class QuantileModule(DefaultTQCTorchRLModule):
    """Actor and quantile critics."""

    qf_encoders: Any
    qf_heads: Any

    def setup(self) -> None:
        layout, policy, settings = _settings(self)
        self.n_quantiles, self.n_critics = settings["quantiles"], settings["critics"]
        self.top_quantiles_to_drop_per_net = settings["dropped"]
        self.quantiles_total = self.n_quantiles * self.n_critics
        self.pi_encoder, self.pi = _Seen(), _BoxActor(layout, policy)
        if not self.inference_only:
            sharpness = settings["choice_sharpness"]
            self.qf_encoders = nn.ModuleList(_Done() for _ in range(self.n_critics))
            self.qf_heads = nn.ModuleList(_BoxCritic(layout, policy, sharpness, self.n_quantiles) for _ in range(self.n_critics))


class BanditModule(TorchRLModule, InferenceOnlyAPI):
    """The published actor and critic. It acts with the better picture and trains with a mixture of both."""

    def setup(self) -> None:
        layout, policy, settings = _settings(self)
        self.layout, self.limit, self.noise = layout, layout.limit, settings["noise"]
        self.actor = Actor(layout, policy)
        self.critic = FeatureCritic(self.actor.views, policy)

    def get_non_inference_attributes(self) -> list[str]:
        return ["critic"]

    def get_inference_action_dist_cls(self) -> Any:
        return TorchDeterministic

    def _forward_inference(self, batch: Batch, **_: Any) -> Batch:
        return {Columns.ACTIONS: self._acted(batch[Columns.OBS], 0.0)}

    def _forward_exploration(self, batch: Batch, **_: Any) -> Batch:
        return {Columns.ACTIONS: self._acted(batch[Columns.OBS], self.noise)}

    def _forward_train(self, batch: Batch, **_: Any) -> Batch:
        observations, actions = batch[Columns.OBS], batch[Columns.ACTIONS]
        view = self.actor.views(observations)[:, 0]
        features, sentence = actions.split([self.layout.features, self.layout.sentence], -1)
        taken = torch.cat([self.actor.views.common_scale(features), sentence], -1)
        return {"worth": self.critic(view.detach(), taken), "worth_of_actor": self._worth_of_actor(observations)}

    def _worth_of_actor(self, observations: Tensor) -> Tensor:
        """[B], with a gradient for the actor alone: through its action, and through its view of the observation."""
        choice = self.actor(observations)
        _, pictures = self.actor.views.split(observations)
        mixed = (choice.scores.softmax(-1).unsqueeze(-1) * self.actor.views.common_scale(pictures)).sum(1)
        view = self.actor.views(observations)[:, 0]
        self.critic.requires_grad_(False)
        worth: Tensor = self.critic(view, torch.cat([mixed, choice.sentence], -1))
        self.critic.requires_grad_(True)
        return worth

    @torch.no_grad()
    def _acted(self, observations: Tensor, noise: float) -> Tensor:
        choice = self.actor(observations)
        _, pictures = self.actor.views.split(observations)
        chosen = pictures[torch.arange(len(pictures)), choice.scores.argmax(-1)]
        sentence = choice.sentence + noise * torch.randn_like(choice.sentence)
        return torch.cat([chosen, sentence.clamp(-self.limit, self.limit)], -1)
