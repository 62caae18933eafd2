"""Search space of the speech language model, over the settings of `train_emosds`.

Score: loss of the best epoch on validation examples of the last stage that the base trains, each token given the right ones before it.
A trial trains all stages of the base; bad ones are ended in the last. What the model is made of can be searched only where its first stage
is trained; for a later stage alone, name the model that it starts from: `--settings stage=2 start_from=NAME`.
"""

from ray import tune

from rapport.ray_jobs.emosds_training.config import StageConfig, TrainEmosdsConfig

CONFIG = TrainEmosdsConfig
JOB = "train_emosds"
METRIC = "loss"
MODE = "min"

_STAGE = {
    "training.optim.lr": tune.loguniform(2e-5, 1e-2),
    "training.optim.weight_decay": tune.uniform(0.0, 0.2),
    "training.warmup_ratio": tune.uniform(0.0, 0.2),
    "training.batches_per_step": tune.choice([1, 2, 4, 8, 16, 32, 64]),
    "trainable.lora.rank": tune.choice([4, 8, 16, 32, 64]),
}

SPACE = {
    **{f"stage_{stage}.{name}": domain for stage in (1, 2, 3) for name, domain in _STAGE.items()},
    "model.unit_mode": tune.choice(["merged", "downsample", "raw"]),
    "model.injection.kind": tune.choice(["tile", "linear", "strided"]),
    "model.injection.stride": tune.choice([2, 4, 8]),
    "model.injection.pooling": tune.choice(["mean", "concat"]),
    # the embedded model; nothing that changes its tokenizer, as losses a token of two tokenizers do not compare
    "model.embedded.hidden": tune.choice([128, 192, 256, 320]),
    "model.embedded.layers": tune.randint(2, 9),
    "model.embedded.mlp": tune.choice([256, 512, 768, 1024]),
}


def budget(base: TrainEmosdsConfig) -> int:
    """Epochs of a whole trial: those of the last stage, where bad trials are ended."""
    return _stage_of(base, base.stages[-1]).training.epochs


def applies(field: str, base: TrainEmosdsConfig) -> bool:
    """Whether searching the field makes sense when everything else is as in `base`."""
    if field.startswith("stage_"):
        stage = int(field[len("stage_")])
        adapters = _stage_of(base, stage).trainable.lora.rank > 0
        return stage in base.stages and (adapters or not field.endswith(".lora.rank"))
    if 1 not in base.stages:
        return False
    if field.startswith("model.embedded."):
        return base.model.is_embedded and (field != "model.embedded.hidden" or 64 % (2 * base.model.embedded.heads) == 0)
    if field == "model.unit_mode":
        return base.model.hears_units
    return any(base.model.hears_residuals(stage) for stage in base.stages)


def _stage_of(base: TrainEmosdsConfig, stage: int) -> StageConfig:
    return (base.stage_1, base.stage_2, base.stage_3)[stage - 1]
