"""Settings of `train_listener`. Imports neither torch nor ray, so that `--help` stays quick and search spaces can name its fields."""

from typing import Any, Self

from pydantic import Field, model_validator

from rapport.core import storage
from rapport.core.config import Config, JobConfig, Names, with_values
from rapport.models.listener.config import ListenerConfig
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.training.config import TrackingConfig
from rapport.training.motion_config import MotionConfig

ALL, NONE = "all", "none"


class TrainListenerConfig(JobConfig):
    """How to train models of a listener's head motion: one for each session that is held out and each seed, or one to serve."""

    name: str = Field(default="listener", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its models. The same name again continues a run that was interrupted, or adds folds and seeds."""
    fresh: bool = False
    """Begin these folds anew: earlier runs and models of that name are moved aside."""
    data: str = "iemocap"
    """Features and poses that build_listener made: the name of a corpus, or a folder or URI."""
    folds: Names = (ALL,)
    """Sessions to hold out, a new model for each: all, some such as session1,session4, or none for one model that learns from every session
    but the last, by which it is selected."""
    seeds: tuple[int, ...] = ()
    """A new model of every fold for each of these seeds; for `seed` alone unless given."""
    test: bool = True
    """Look at the held-out session, once, after the training; a search for settings leaves it alone."""
    concurrent: int | None = Field(default=None, ge=1)
    """Trainings at the same time; as many as the cluster holds unless given."""
    model: ListenerConfig = ListenerConfig()
    """The model."""
    training: MotionConfig = MotionConfig()
    """The training."""
    workers: WorkersConfig = WorkersConfig()
    """Processors of each training; its count stays 1, as folds and seeds are what runs side by side."""
    tracking: TrackingConfig = TrackingConfig()
    """Curves."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.folds or (len(self.folds) > 1 and {ALL, NONE} & set(self.folds)):
            raise ValueError(f"folds is {', '.join(self.folds) or 'empty'}: wanted all, none, or names of sessions")
        if self.folds == (NONE,) and len(self.seeds) > 1:
            raise ValueError(f"folds none trains the one model that is served, and seeds has {len(self.seeds)}: give one")
        for field, values in (("folds", self.folds), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{field} names one twice: {', '.join(map(str, values))}")
        if self.workers.count != 1:
            raise ValueError(f"workers.count is {self.workers.count}: one worker trains a model, wanted 1 (see concurrent)")
        return self


class FoldConfig(Config):
    """One training, as its folder keeps it."""

    storage: str
    """Root of all outputs."""
    name: str
    """Name of the run that it belongs to."""
    fold: str
    """The session that is held out, or none."""
    seed: int
    """Seed of everything random."""
    test: bool
    """Whether the held-out session is looked at in the end."""
    model: ListenerConfig
    """The model."""
    training: MotionConfig
    """The training."""
    workers: WorkersConfig
    """Processors."""
    tracking: TrackingConfig
    """Curves."""

    @property
    def label(self) -> str:
        """What it is called: `fold-session1-seed-0`, or `all-seed-0` when no session is held out."""
        return f"{'all' if self.fold == NONE else f'fold-{self.fold}'}-seed-{self.seed}"


def fold_configs(config: TrainListenerConfig, folds: tuple[str, ...]) -> list[FoldConfig]:
    """The trainings that the settings ask for, fold by fold; `folds` is what `config.folds` means of the sessions there are."""
    shared = {name: getattr(config, name) for name in ("storage", "name", "test", "model", "training", "workers", "tracking")}
    seeds = config.seeds or (config.seed,)
    return [FoldConfig(fold=fold, seed=seed, **shared) for fold in folds for seed in seeds]


def resolved(config: TrainListenerConfig) -> TrainListenerConfig:
    """The settings with paths that mean the same in every folder."""
    values: dict[str, Any] = {}
    for field, path in (("storage", config.storage), ("model.front_end.ssl.source", config.model.front_end.ssl.source)):
        if "://" not in path and (field == "storage" or storage.is_folder(path)):
            values[field] = storage.resolve(path)[1]
    return with_values(config, values)
