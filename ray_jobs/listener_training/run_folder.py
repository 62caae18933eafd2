"""Where the trainings of a run and their models lie, and which of their settings may change when they are continued."""

from rapport.core import storage
from rapport.ray_jobs.listener_training.config import NONE, FoldConfig
from rapport.ray_jobs.training_runs.run_folder import absolute

FREE = (
    "storage",
    "workers",
    "tracking",
    "training.evaluation_batch_s",
    "training.save_every_steps",
    "training.save_every_epochs",
)
"""Beginnings of settings that change neither the weights nor the figures."""


def runs_folder(root: str, name: str) -> str:
    """`<storage>/runs/train_listener/<name>`, absolute: a folder `fold-<session>-seed-<n>` for each training."""
    return storage.join(absolute(root), "runs", "train_listener", name)


def models_folder(root: str, name: str) -> str:
    """`<storage>/models/listener/<name>`, absolute: a folder `fold-<session>-seed-<n>` for each model that has not heard that session, and
    beside these the model that has heard all.
    """
    return storage.join(absolute(root), "models", "listener", name)


def fold_folder(config: FoldConfig) -> str:
    """The folder of one training."""
    return storage.join(runs_folder(config.storage, config.name), config.label)


def model_folder(config: FoldConfig) -> str:
    """The folder of the model of one training."""
    home = models_folder(config.storage, config.name)
    return home if config.fold == NONE else storage.join(home, config.label)
