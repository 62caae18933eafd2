"""Where a training of the classifier and its model lie, and which of its settings may change when it is continued."""

from rapport.core import storage
from rapport.ray_jobs.ser_training.config import TrainSerConfig
from rapport.ray_jobs.training_runs.run_folder import absolute

FREE = (
    "storage",
    "fresh",
    "workers",
    "tracking",
    "training.loader_threads",
    "training.evaluation_batch_s",
    "training.save_every_steps",
    "training.save_every_epochs",
)
"""Beginnings of settings that change neither the weights nor the figures."""


def run_folder(config: TrainSerConfig) -> str:
    """`<storage>/runs/train_ser/<name>`, absolute."""
    return storage.join(absolute(config.storage), "runs", "train_ser", config.name)


def model_folder(config: TrainSerConfig) -> str:
    """`<storage>/models/ser/<name>`, absolute."""
    return storage.join(absolute(config.storage), "models", "ser", config.name)
