"""Where the stages of a run and their models lie, and which of their settings may change when they are continued."""

from rapport.core import storage
from rapport.core.examples import Stage
from rapport.ray_jobs.training_runs.run_folder import absolute
from rapport.training import sft_config

FREE = ("storage", "workers", "tracking", *(f"training.{name}" for name in sft_config.FREE))
"""Beginnings of settings that change neither the weights nor the figures."""


def runs_folder(root: str, name: str) -> str:
    """`<storage>/runs/train_emosds/<name>`, absolute: a folder `stage-<n>` for each stage."""
    return storage.join(absolute(root), "runs", "train_emosds", name)


def stage_folder(root: str, name: str, stage: Stage) -> str:
    """The folder of one stage's run."""
    return storage.join(runs_folder(root, name), f"stage-{stage}")


def model_folder(root: str, name: str, stage: Stage) -> str:
    """`<storage>/models/emosds/<name>-stage-<n>`, absolute."""
    return storage.join(absolute(root), "models", "emosds", f"{name}-stage-{stage}")
