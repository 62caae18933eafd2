"""Search space of how an agent learns what to say, over the settings of `train_agent`.

Score: mean return of the best evaluation, on pictures of the test pool. Trials act in their own process, and share a body: name one with
`--settings body_from=<folder>`, as each would train its own otherwise. Fields of an algorithm mean nothing for the others, and `applies`
leaves them out.
"""

from ray import tune

from rapport.ray_jobs.agent_training.config import TrainAgentConfig

CONFIG = TrainAgentConfig
JOB = "train_agent"
METRIC = "mean_return"
MODE = "max"

_SOFT = {
    "actor_lr": tune.loguniform(1e-4, 1e-2),
    "critic_lr": tune.loguniform(1e-4, 1e-2),
    "entropy_per_dimension": tune.uniform(-3.0, 0.3),
    "updates_per_turn": tune.choice([0.25, 0.5, 1.0, 2.0]),
    "batch_size": tune.choice([64, 128, 256]),
    "target_rate": tune.loguniform(2e-3, 0.1),
    "choice_sharpness": tune.loguniform(2.0, 30.0),
}

SPACE = {
    "learning.ppo.lr": tune.loguniform(2e-4, 1e-2),
    "learning.ppo.batch_size": tune.choice([128, 256, 512, 1024]),
    "learning.ppo.minibatch_size": tune.choice([32, 64, 128, 256]),
    "learning.ppo.epochs": tune.randint(2, 21),
    "learning.ppo.clip": tune.uniform(0.1, 0.4),
    "learning.ppo.choice_entropy": tune.loguniform(1e-4, 0.1),
    **{f"learning.sac.{name}": domain for name, domain in _SOFT.items()},
    **{f"learning.tqc.{name}": domain for name, domain in _SOFT.items()},
    "learning.tqc.quantiles": tune.randint(5, 33),
    "learning.bandit.lr": tune.loguniform(3e-5, 1e-2),
    "learning.bandit.noise": tune.uniform(0.0, 1.0),
    "learning.bandit.turns_per_update": tune.choice([1, 2, 4]),
    "policy.head_width": tune.choice([32, 64, 75, 128]),
    "policy.picture_width": tune.choice([16, 32, 50, 100]),
    "policy.critic_width": tune.choice([32, 64, 128, 256]),
    "policy.log_deviation": tune.uniform(-2.0, 0.5),
}


def budget(base: TrainAgentConfig) -> int:
    """Iterations of a whole trial; a bad one gets fewer."""
    learning = base.learning
    each = learning.ppo.batch_size if learning.algorithm == "ppo" else learning.turns_per_iteration
    return max(1, learning.turns // each)


def applies(field: str, base: TrainAgentConfig) -> bool:
    """Whether searching the field makes sense when everything else is as in `base`."""
    algorithm = base.learning.algorithm
    if field.startswith("learning."):
        return field.startswith(f"learning.{algorithm}.")
    # The published actor is deterministic: its noise is a setting of its own.
    return not (field == "policy.log_deviation" and algorithm == "bandit")
