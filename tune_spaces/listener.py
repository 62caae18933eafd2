"""Search space of a listener's head motion, over the settings of `train_listener`.

Score: mean absolute error in degrees, each turn's mean error taken away, of the best epoch on the validation session; the session that is
held out is not looked at. Name a fold to search without it (`--settings folds=session1`): else every session is learned from but the last.
Some fields mean something for one kind of network or head only, and `applies` leaves out those that would be searched in vain.
"""

from ray import tune

from rapport.ray_jobs.listener_training.config import TrainListenerConfig

CONFIG = TrainListenerConfig
JOB = "train_listener"
METRIC = "offset_removed_mae_deg"
MODE = "min"

SPACE = {
    "training.optim.lr": tune.loguniform(2e-4, 1e-2),
    "training.optim.weight_decay": tune.loguniform(1e-4, 0.2),
    "training.batch_size": tune.choice([8, 16, 32, 64]),
    "training.crop_s": tune.uniform(4.0, 15.0),
    "training.loss.velocity_weight": tune.uniform(0.0, 0.5),
    "training.loss.correlation_weight": tune.uniform(0.0, 2.0),
    "training.loss.offset": tune.uniform(0.0, 1.0),
    "training.ema_decay": tune.choice([0.0, 0.9, 0.98, 0.99, 0.995]),
    "model.smoothing.min_cutoff_hz": tune.uniform(1.0, 10.0),
    # a head that tells deviations
    "training.loss.likelihood_weight": tune.uniform(0.0, 1.0),
    # tcn
    "model.network.tcn.width": tune.choice([32, 64, 96, 128, 192, 256]),
    "model.network.tcn.kernel": tune.randint(2, 6),
    "model.network.tcn.dropout": tune.uniform(0.0, 0.4),
    # lstm_linear
    "model.network.lstm_linear.width": tune.choice([32, 64, 128, 256]),
    "model.network.lstm_linear.layers": tune.randint(1, 4),
    "model.network.lstm_linear.dropout": tune.uniform(0.0, 0.5),
}


def budget(base: TrainListenerConfig) -> int:
    """Epochs of a whole trial; a bad one gets fewer."""
    return base.training.epochs


def applies(field: str, base: TrainListenerConfig) -> bool:
    """Whether searching the field makes sense when everything else is as in `base`."""
    network = base.model.network.kind
    if field.startswith("model.network."):
        return field.startswith(f"model.network.{network}.")
    if field == "training.loss.likelihood_weight":
        return base.model.head.kind == "gaussian"
    if field == "model.smoothing.min_cutoff_hz":
        return base.model.smoothing.kind == "one_euro"
    return True
