"""Networks that choose which picture to speak of and how: actor, critics, value; and the policy that is left of them.

Axis letters: B batch, N numbers of the state, P pictures on show, F features of a picture, Z sentence embedding, V views, W their width.
An observation is one row [N | F of the first picture | ... | F of the last].

    views   ReLU [state -> 50 | this picture -> 50 | mean of the others -> 50], one for each picture;
            published: one for all, [state -> 50 | first -> 50 | second -> 50]
    actor   view -> 75 -> score of choosing a picture;   mean view -> 75 -> sentence embedding, normalised
    critic  view | Z -> 926 -> 926 -> worth of choosing a picture and speaking so
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from rapport.core.errors import RapportError
from rapport.models.saving import load_folder, load_strict, save_folder
from rapport.models.spolacq.policy_config import PolicyConfig

KIND = "spolacq_policy"
_LOWEST_DEVIATION, _HIGHEST_DEVIATION = -4.0, 1.0


@dataclass(frozen=True)
class Layout:
    """What an observation and an action are made of, and how observations are brought to a common scale."""

    numbers: int
    """N."""
    features: int
    """F."""
    sentence: int
    """Z."""
    pictures: int = 2
    """P."""
    limit: float = 2.5
    """Sentence embeddings stay within plus and minus this."""
    centre: tuple[float, ...] = ()
    """[N + F], taken from the numbers and from the features of each picture; zeros when empty."""
    scale: tuple[float, ...] = ()
    """[N + F], what is left is divided by; ones when empty."""

    def __post_init__(self) -> None:
        for name in ("centre", "scale"):
            found = len(getattr(self, name))
            if found not in (0, self.numbers + self.features):
                raise RapportError(f"the layout's {name} has {found} values: wanted {self.numbers} numbers + {self.features} features")

    @property
    def width(self) -> int:
        """Of an observation."""
        return self.numbers + self.pictures * self.features


class Views(nn.Module):
    """Observations [B, N + P F] to views [B, V, W]: one for each picture, as this beside the others; or the published one."""

    centre: Tensor
    scale: Tensor

    def __init__(self, layout: Layout, config: PolicyConfig) -> None:
        super().__init__()
        self.layout, self.symmetric = layout, config.symmetric
        self.state = nn.Linear(layout.numbers, config.state_width)
        self.picture = nn.Linear(layout.features, config.picture_width)
        self.width = config.state_width + (2 if self.symmetric else layout.pictures) * config.picture_width
        size = layout.numbers + layout.features
        self.register_buffer("centre", torch.tensor(layout.centre or [0.0] * size, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(layout.scale or [1.0] * size, dtype=torch.float32))

    def forward(self, observations: Tensor) -> Tensor:
        """Views [B, V, W]."""
        numbers, pictures = self.split(observations)
        state = self.state((numbers - self.centre[: self.layout.numbers]) / self.scale[: self.layout.numbers])
        pictures = self.picture(self.common_scale(pictures))
        if not self.symmetric:
            return torch.relu(torch.cat([state, pictures.flatten(1)], -1)).unsqueeze(1)
        others = (pictures.sum(1, keepdim=True) - pictures) / max(1, self.layout.pictures - 1)
        return torch.relu(torch.cat([state.unsqueeze(1).expand(-1, self.layout.pictures, -1), pictures, others], -1))

    def split(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers [B, N] and the features of the pictures [B, P, F]."""
        numbers, pictures = observations.split([self.layout.numbers, self.layout.pictures * self.layout.features], -1)
        return numbers, pictures.unflatten(-1, (self.layout.pictures, self.layout.features))

    def common_scale(self, features: Tensor) -> Tensor:
        """Features [..., F] as the networks read them."""
        return (features - self.centre[self.layout.numbers :]) / self.scale[self.layout.numbers :]


class ChoiceHead(nn.Module):
    """Views [B, V, W] and what else is known [B, X] to values for choosing each picture, [B, P, n]."""

    def __init__(self, views: Views, extra: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.symmetric, self.shape = views.symmetric, (views.layout.pictures, outputs)
        sizes = [views.width + extra, *widths]
        layers = [layer for i, o in itertools.pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.layers = nn.Sequential(
            *layers, nn.Linear(sizes[-1], outputs if self.symmetric else views.layout.pictures * outputs, bias=False)
        )

    def forward(self, views: Tensor, extra: Tensor | None = None) -> Tensor:
        """[B, P, n]."""
        if extra is not None:
            views = torch.cat([views, extra.unsqueeze(1).expand(-1, views.shape[1], -1)], -1)
        values: Tensor = self.layers(views)
        return values if self.symmetric else values.unflatten(-1, self.shape).squeeze(1)


class Choice(NamedTuple):
    """What an actor makes of observations."""

    scores: Tensor
    """[B, P] of each picture, to be softmaxed."""
    sentence: Tensor
    """[B, Z] mean."""
    log_deviation: Tensor
    """[B, D] of what the algorithm tries out; D is Z, P - 1 + Z, or 0."""


class Actor(nn.Module):
    """Scores of the pictures and a sentence embedding."""

    def __init__(self, layout: Layout, config: PolicyConfig, deviations: int = 0) -> None:
        """`deviations` is D: how many deviations it learns besides."""
        super().__init__()
        self.views = Views(layout, config)
        self.score = ChoiceHead(self.views, 0, [config.head_width], 1)
        self.sentence = nn.Sequential(
            nn.Linear(self.views.width, config.head_width),
            nn.ReLU(),
            nn.Linear(config.head_width, layout.sentence, bias=False),
            nn.LayerNorm(layout.sentence),
        )
        self.deviation: nn.Linear | None = None
        if deviations:
            self.deviation = nn.Linear(self.views.width, deviations)
            nn.init.zeros_(self.deviation.weight)
            nn.init.constant_(self.deviation.bias, config.log_deviation)

    def forward(self, observations: Tensor) -> Choice:
        """Of observations [B, N + P F]."""
        views = self.views(observations)
        mean = views.mean(1)
        if self.deviation is None:
            log_deviation = mean.new_zeros(len(mean), 0)
        else:
            log_deviation = self.deviation(mean).clamp(_LOWEST_DEVIATION, _HIGHEST_DEVIATION)
        return Choice(self.score(views).squeeze(-1), self.sentence(mean), log_deviation)


class Value(nn.Module):
    """What an observation is worth, [B]."""

    def __init__(self, layout: Layout, config: PolicyConfig) -> None:
        super().__init__()
        self.views = Views(layout, config)
        width = config.critic_width or self.views.width
        self.layers = nn.Sequential(nn.Linear(self.views.width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.output = nn.Linear(width, 1)

    def forward(self, observations: Tensor) -> Tensor:
        """[B]."""
        values: Tensor = self.output(self.layers(self.views(observations)).mean(1)).squeeze(-1)
        return values


class ChoiceCritic(nn.Module):
    """What it is worth to choose each picture and to speak so: n estimates of each, [B, P, n]."""

    def __init__(self, layout: Layout, config: PolicyConfig, estimates: int = 1) -> None:
        super().__init__()
        self.views = Views(layout, config)
        width = config.critic_width or self.views.width + layout.sentence
        self.head = ChoiceHead(self.views, layout.sentence, [width, width], estimates)

    def forward(self, observations: Tensor, sentences: Tensor) -> Tensor:
        """Of observations [B, N + P F] and sentence embeddings [B, Z]."""
        return self.head(self.views(observations), sentences)


class FeatureCritic(nn.Module):
    """The published critic: what it is worth to speak of a picture with these features, [B].

    It reads the actor's view without teaching it, and the action [F | Z].
    """

    def __init__(self, views: Views, config: PolicyConfig) -> None:
        super().__init__()
        action = views.layout.features + views.layout.sentence
        width = config.critic_width or views.width + action
        self.layers = nn.Sequential(
            nn.Linear(views.width + action, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1, bias=False)
        )

    def forward(self, view: Tensor, action: Tensor) -> Tensor:
        """Of views [B, W] and actions [B, F + Z], features on the common scale."""
        values: Tensor = self.layers(torch.cat([view, action], -1)).squeeze(-1)
        return values


class AgentPolicy(nn.Module):
    """What an agent does once it has learned, without trying anything out: the better picture and the mean sentence embedding."""

    def __init__(self, layout: Layout, config: PolicyConfig, *, deviations: int = 0, squashed: bool = False) -> None:
        """`squashed` says that the sentence embedding passes through tanh, as algorithms over a bounded action learn it."""
        super().__init__()
        self.layout, self.config, self.deviations, self.squashed = layout, config, deviations, squashed
        self.actor = Actor(layout, config, deviations)

    @torch.no_grad()
    def act(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which picture, int64 [B] from 0 on, and the sentence embedding, float32 [B, Z], for observations float32 [B, N + P F].

        Raises RapportError for observations of another width.
        """
        if observations.ndim != 2 or observations.shape[1] != self.layout.width:
            raise RapportError(f"observations have the shape {observations.shape}: this policy learned from rows of {self.layout.width}")
        choice = self.actor(torch.from_numpy(np.ascontiguousarray(observations, dtype=np.float32)))
        sentence = bounded(choice.sentence, self.layout.limit, self.squashed)
        return choice.scores.argmax(-1).numpy(), sentence.numpy()

    def save_pretrained(
        self, folder: str | Path, *, card: str, facts: Mapping[str, Any] | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Write a model folder. `facts` are kept in `config.json`."""
        config = {
            "layout": asdict(self.layout),
            "policy": self.config.model_dump(mode="json"),
            "deviations": self.deviations,
            "squashed": self.squashed,
            "facts": dict(facts or {}),
        }
        save_folder(folder, KIND, config, self.state_dict(), card=card, metrics=metrics)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Load a model folder. Raises ModelError when it cannot."""
        _, config, tensors = load_folder(folder, KIND)
        layout: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in config["layout"].items()}
        policy = cls(
            Layout(**layout),
            PolicyConfig.model_validate(config["policy"]),
            deviations=config["deviations"],
            squashed=config["squashed"],
        )
        load_strict(policy, tensors, folder)
        return policy.eval()


def bounded(sentence: Tensor, limit: float, squashed: bool) -> Tensor:
    """Sentence embeddings within plus and minus the limit."""
    return limit * torch.tanh(sentence / limit) if squashed else sentence.clamp(-limit, limit)


def common_scale(pictures: np.ndarray, numbers: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centre and scale of a layout, each [N + F], from features [M, F] of pictures; numbers stay as they are.

    All features are divided by one number, their mean deviation: what hardly varies from picture to picture is not blown up.
    """
    deviation = max(float(np.sqrt(pictures.var(0).mean())), 1e-6)
    centre = np.concatenate([np.zeros(numbers), pictures.mean(0)])
    scale = np.concatenate([np.ones(numbers), np.full(pictures.shape[1], deviation)])
    return tuple(centre.tolist()), tuple(scale.tolist())
