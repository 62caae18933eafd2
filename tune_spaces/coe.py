"""Search space of the language model of emotions in conversations, over the settings of `train_coe`.

Score: loss of the best epoch on validation examples of the last stage: how unlikely the model finds the right labels.
Stages before the last one that are finished below the storage root are taken over by all trials, so train the base once before a search.
A trial ends early in the last stage; what is searched in the stages before it costs each trial those stages.
"""

from ray import tune

from rapport.ray_jobs.coe_training.config import TrainCoeConfig

CONFIG = TrainCoeConfig
JOB = "train_coe"
METRIC = "loss"
MODE = "min"

_TRAINING = {
    "training.optim.lr": tune.loguniform(2e-5, 1e-2),
    "training.optim.weight_decay": tune.uniform(0.0, 0.2),
    "training.warmup_ratio": tune.uniform(0.0, 0.2),
    "training.batches_per_step": tune.choice([1, 2, 4, 8, 16]),
}

SPACE = {
    **{f"{stage}.{name}": domain for stage in ("role_play", "speaker", "joint", "erc") for name, domain in _TRAINING.items()},
    "steer.training.optim.lr": tune.loguniform(2e-5, 1e-2),
    "steer.training.epochs": tune.randint(1, 9),
    "steer.repeat_seeds": tune.randint(1, 17),
    "steer.restart_from": tune.choice(["continue", "stage_init", "base"]),
    "steer.answers.hint": tune.choice([False, True]),
    "mixture.temperature": tune.uniform(1.0, 5.0),
    "mixture.weights.steer": tune.loguniform(0.2, 5.0),
    "trainable.lora.rank": tune.choice([4, 8, 16, 32, 64]),
    "trainable.lora.alpha": tune.choice([8, 16, 32, 64]),
}


def budget(base: TrainCoeConfig) -> int:
    """Epochs of a whole trial: those of the last stage, where bad trials are ended."""
    return base.erc.training.epochs


def applies(field: str, base: TrainCoeConfig) -> bool:
    """Whether searching the field makes sense when everything else is as in `base`."""
    part = field.partition(".")[0]
    names = {stage.name for stage in base.graph}
    if part == "trainable":
        # Adapters of a model that is given have their rank.
        return base.trainable.lora.rank > 0 and not base.start_from
    return {"mixture": "joint"}.get(part, part) in names
