"""Settings of the learning algorithms. Imports neither torch nor ray, so that `--help` stays quick and searches can name fields."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config

AlgorithmName = Literal["ppo", "sac", "tqc", "bandit"]


class PpoConfig(Config):
    """Proximal policy optimisation: a choice of picture and a sentence embedding, each with a distribution of its own."""

    gamma: float = Field(default=1.0, ge=0, le=1)
    """What a reward one turn later is worth; 1 credits the first turn of a dialogue with all that comes of it."""
    lambda_: float = Field(default=0.95, ge=0, le=1)
    """Decay of generalised advantage estimation."""
    lr: float = Field(default=2e-3, gt=0, le=1)
    """Learning rate of Adam."""
    batch_size: int = Field(default=512, ge=8)
    """Turns gathered for one iteration."""
    minibatch_size: int = Field(default=128, ge=4)
    """Turns in one step of the optimiser."""
    epochs: int = Field(default=8, ge=1)
    """Passes over the turns of an iteration."""
    clip: float = Field(default=0.2, gt=0, le=1)
    """How far the probability of an action may move in one iteration, as a share."""
    choice_entropy: float = Field(default=0.01, ge=0)
    """Weight of the entropy of the choice of picture, which keeps both being tried; that of the sentence embedding has none."""
    value_weight: float = Field(default=0.5, ge=0)
    """Weight of the squared error of the value."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the whole gradient."""


class SacConfig(Config):
    """Soft actor-critic over one box: the choice of picture as a number, right where it is above zero, and the sentence embedding."""

    gamma: float = Field(default=0.98, ge=0, le=1)
    """What a reward one turn later is worth; 0 for tasks of one turn."""
    actor_lr: float = Field(default=1e-3, gt=0, le=1)
    """Learning rate of the actor."""
    critic_lr: float = Field(default=1e-3, gt=0, le=1)
    """Learning rate of the critics."""
    temperature_lr: float = Field(default=1e-3, gt=0, le=1)
    """Learning rate of the weight of the entropy."""
    initial_temperature: float = Field(default=0.1, gt=0)
    """First weight of the entropy."""
    entropy_per_dimension: float = Field(default=-1.0, le=0.69)
    """Entropy that the policy is held at, in nats for each dimension of the action; 0.69 tries all alike, lower tries less."""
    batch_size: int = Field(default=128, ge=4)
    """Turns in one step of the optimiser."""
    replay: int = Field(default=20_000, ge=32)
    """Newest turns that are learned from."""
    learning_starts: int = Field(default=200, ge=0)
    """Turns gathered before the first step of the optimiser."""
    updates_per_turn: float = Field(default=0.5, gt=0)
    """Steps of the optimiser for every turn gathered."""
    target_rate: float = Field(default=0.01, gt=0, le=1)
    """How fast the target critics follow, each step."""
    choice_sharpness: float = Field(default=6.0, gt=0)
    """Slope of the critics where the choice turns from left to right; the larger, the nearer to the step that the environment makes."""


class TqcConfig(SacConfig):
    """Soft actor-critic with quantile critics of which the most hopeful quantiles are dropped (Kuznetsov et al. 2020)."""

    critics: int = Field(default=2, ge=1)
    """Number of critics."""
    quantiles: int = Field(default=15, ge=1)
    """Quantiles that each tells."""
    dropped: int = Field(default=1, ge=0)
    """Highest quantiles left out, for each critic."""


class BanditConfig(Config):
    """The published algorithm, called DDPG: the critic learns the reward of the turn and nothing of what follows; a deterministic actor."""

    lr: float = Field(default=1e-4, gt=0, le=1)
    """Learning rate of actor and critic."""
    batch_size: int = Field(default=32, ge=1)
    """Turns in one step of the optimiser."""
    replay: int = Field(default=1_000, ge=1)
    """Newest turns that are learned from."""
    learning_starts: int = Field(default=0, ge=0)
    """Turns gathered before the first step of the optimiser."""
    turns_per_update: int = Field(default=4, ge=1)
    """Turns gathered for every step of the optimiser."""
    policy_delay: int = Field(default=2, ge=1)
    """Steps of the critic for every step of the actor."""
    noise: float = Field(default=0.2, ge=0)
    """Deviation of what is added to the sentence embedding to try things out. Nothing is ever added to the choice of picture."""


class LearningConfig(Config):
    """How an agent learns by acting."""

    algorithm: AlgorithmName = "ppo"
    """ppo, sac, tqc, or bandit, the published one, which cannot learn what a first turn is good for."""
    turns: int = Field(default=20_000, ge=1)
    """Turns to act in all."""
    turns_per_iteration: int = Field(default=512, ge=1)
    """Turns between figures; of ppo its batch_size instead."""
    runners: int = Field(default=1, ge=0)
    """Processes that act; 0 acts in the process that learns."""
    sessions: int = Field(default=16, ge=1)
    """Dialogues that each process holds at a time; their requests share batches."""
    evaluate_every: int = Field(default=5, ge=1)
    """Iterations between evaluations on pictures of the test pool; the last iteration is always evaluated."""
    evaluation_episodes: int = Field(default=200, ge=1)
    """Episodes of an evaluation, always the same ones."""
    save_every: int = Field(default=5, ge=1)
    """Iterations between checkpoints. Dialogues begin anew at each, so that a training that goes on from it does the same as one that was
    never interrupted."""
    stop_at: float | None = None
    """End the learning when an evaluation's mean return reaches this."""
    time_limit_ends: bool = True
    """Take the end of an episode by its number of turns for an end like any other, as the task's own rule; else what might have followed is
    estimated."""
    ppo: PpoConfig = PpoConfig()
    """Of ppo."""
    sac: SacConfig = SacConfig()
    """Of sac."""
    tqc: TqcConfig = TqcConfig()
    """Of tqc."""
    bandit: BanditConfig = BanditConfig()
    """Of bandit."""
    threads: int = Field(default=1, ge=1)
    """Processor threads of the process that learns: the networks are small."""
    sample_timeout_s: float = Field(default=600.0, gt=0)
    """How long a process that acts may take for its share of an iteration; language models and synthesizers are slow."""
