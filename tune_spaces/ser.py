"""Search space of the speech emotion classifier, over the settings of `train_ser`.

Score: UAR of the best epoch on validation clips; test clips are not looked at. Some fields mean something for one kind of encoder only,
and `applies` leaves out those that would be searched in vain.
"""

from ray import tune

from rapport.ray_jobs.ser_training.config import TrainSerConfig

CONFIG = TrainSerConfig
JOB = "train_ser"
METRIC = "uar"
MODE = "max"

SPACE = {
    "training.optim.lr": tune.loguniform(4e-4, 1e-2),
    "training.optim.weight_decay": tune.loguniform(1e-3, 0.2),
    "training.loss.label_smoothing": tune.uniform(0.0, 0.2),
    "training.loss.class_weight_power": tune.uniform(0.0, 1.0),
    "training.mixup": tune.uniform(0.0, 0.5),
    "model.head.hidden": tune.choice([64, 128, 256, 512]),
    "model.head.dropout": tune.uniform(0.1, 0.6),
    "model.pooling.heads": tune.choice([1, 2, 4]),
    "model.pooling.deviation": tune.choice(["none", "plain", "weighted"]),
    "augment.gain.p": tune.uniform(0.0, 0.7),
    "augment.noise.p": tune.uniform(0.0, 0.7),
    "augment.reverberation.p": tune.uniform(0.0, 0.5),
    "model.domain.grl_lambda": tune.uniform(0.0, 1.0),
    # embedded encoder
    "model.encoder.logmel.width": tune.choice([0.5, 0.75, 1.0, 1.5]),
    "model.encoder.logmel.dropout": tune.uniform(0.1, 0.5),
    "model.encoder.logmel.augment.warp": tune.uniform(0.0, 0.3),
    "model.encoder.logmel.augment.tempo": tune.uniform(0.0, 0.4),
    "model.encoder.logmel.augment.time_mask_frames": tune.randint(0, 41),
    "model.encoder.logmel.augment.band_mask_bands": tune.randint(0, 17),
    # pretrained encoders
    "training.optim.encoder_lr": tune.loguniform(1e-6, 3e-4),
    "model.encoder.unfreeze_last_n_layers": tune.randint(0, 7),
    "model.encoder.layer_weights": tune.choice([False, True]),
    "model.feature_mask.p": tune.uniform(0.0, 0.8),
}


def budget(base: TrainSerConfig) -> int:
    """Epochs of a whole trial; a bad one gets fewer."""
    return base.training.epochs


def applies(field: str, base: TrainSerConfig) -> bool:
    """Whether searching the field makes sense when everything else is as in `base`."""
    encoder = base.model.encoder
    if field.startswith("model.encoder.logmel."):
        return encoder.embedded
    if field in ("model.encoder.layer_weights", "model.feature_mask.p"):
        return not encoder.embedded
    if field == "model.encoder.unfreeze_last_n_layers":
        return encoder.frozen and not encoder.embedded
    if field == "training.optim.encoder_lr":  # a frozen encoder may have layers that the search unfreezes
        return not encoder.embedded
    if field == "model.domain.grl_lambda":
        return len(base.corpora) > 1
    if field == "augment.noise.p":
        return base.noise is not None
    return True
