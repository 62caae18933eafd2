"""Settings of `train_ser`. Imports neither torch nor ray, so that `--help` stays quick and search spaces can name its fields."""

from typing import Any, Self

from pydantic import Field, model_validator

from rapport.core import storage
from rapport.core.config import JobConfig, Names, with_values
from rapport.datasets.splits import SplitConfig
from rapport.datasets.stages.augment_config import AugmentConfig
from rapport.models.ser.config import SerConfig
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.training.config import ClassifierConfig, TrackingConfig


class TrainSerConfig(JobConfig):
    """How to train one speech emotion classifier."""

    name: str = Field(default="ser", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its model. The same name again continues a run that was interrupted."""
    fresh: bool = False
    """Begin anew: an earlier run and model of that name are moved aside."""
    corpora: Names = ("ravdess",)
    """Prepared corpora to train, validate and test on: names, or folders and URIs, separated by commas."""
    test_corpora: Names = ()
    """Prepared corpora to test on besides, each as a whole (one that is trained on: its test side)."""
    test: bool = True
    """Look at the test clips, once, after the training; a search for settings leaves them alone."""
    noise: str | None = None
    """Prepared corpus of noise for augment.noise: a name, folder or URI."""
    split: SplitConfig = SplitConfig()
    """Another split than the prepared one, such as a fold, for each corpus on its own; method auto keeps the prepared one."""
    model: SerConfig = SerConfig()
    """The classifier. Its domain.domains is set to the number of corpora."""
    training: ClassifierConfig = ClassifierConfig()
    """The training."""
    augment: AugmentConfig = AugmentConfig()
    """Changes of training clips."""
    workers: WorkersConfig = WorkersConfig()
    """Processes and processors."""
    tracking: TrackingConfig = TrackingConfig()
    """Curves."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.corpora:
            raise ValueError("corpora is empty: name at least one prepared corpus")
        if self.augment.noise.p > 0 and self.noise is None:
            raise ValueError("augment.noise.p is above 0: set noise to a prepared corpus of noise, such as musan")
        if self.training.batch_size % self.workers.count:
            raise ValueError(
                f"training.batch_size {self.training.batch_size} cannot be shared by {self.workers.count} workers: make it a multiple"
            )
        return self


def resolved(config: TrainSerConfig) -> TrainSerConfig:
    """The settings with what follows from others filled in, and paths that mean the same in every folder."""
    values: dict[str, Any] = {"model.domain.domains": max(2, len(config.corpora))}
    if config.augment.window.p > 0:
        values["model.decoding.window_s"] = config.augment.window.length_s[1]
    if config.training.precision == "fp32":
        values["model.encoder.logmel.bf16"] = False
    if "://" not in config.storage:
        values["storage"] = storage.resolve(config.storage)[1]
    for field, path in (
        ("model.encoder.name", config.model.encoder.name),
        ("augment.reverberation.recordings", config.augment.reverberation.recordings),
    ):
        if path and "://" not in path and storage.is_folder(path):
            values[field] = storage.resolve(path)[1]
    return with_values(config, values)
