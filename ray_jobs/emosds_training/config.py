"""Settings of `train_emosds`. Imports neither torch nor ray, so that `--help` stays quick and search spaces can name its fields."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rapport.core import storage
from rapport.core.config import AS_TEXT, Config, JobConfig, Names, with_values
from rapport.core.examples import STAGES, Stage
from rapport.models.emosds.config import EmosdsConfig, TrainableConfig
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.training.config import TrackingConfig
from rapport.training.sft_config import SftConfig


class StageConfig(Config):
    """How one stage is trained."""

    trainable: TrainableConfig = TrainableConfig()
    """Which weights it trains."""
    training: SftConfig = SftConfig()
    """The training."""
    rehearsal: float = Field(default=0.0, ge=0, le=10)
    """Examples of the stages before that are learned again beside this stage's, as a share of their number: against forgetting words that
    this stage never says. 0 is the published form."""


class TrainEmosdsConfig(JobConfig):
    """How to train a speech language model in three stages: to write what is said, to tell its emotion too, and to answer."""

    name: str = Field(default="emosds", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its models. The same name again continues a run that was interrupted."""
    stage: Annotated[Literal["1", "2", "3", "all"], AS_TEXT] = "all"
    """Which stage, or one after the other; a stage starts from the model of the one before."""
    fresh: bool = False
    """Begin these stages anew: earlier runs and models of that name are moved aside."""
    data: str = "default"
    """Examples that build_emosds made: a name, folder or URI."""
    units: Names = ()
    """Folders of the units of these examples, separated by commas; those that the examples were built with unless given."""
    start_from: str = ""
    """Model that the first of the stages starts from: a name, folder or URI; the stage before of this name unless given."""
    model: EmosdsConfig = EmosdsConfig()
    """The model. Its clusters and residual_width are set to those of the units."""
    stage_1: StageConfig = StageConfig()
    """Speech to words."""
    stage_2: StageConfig = StageConfig()
    """Speech to emotion and words."""
    stage_3: StageConfig = StageConfig()
    """Speech and history to emotion, words, and the emotion and words of the reply."""
    workers: WorkersConfig = WorkersConfig()
    """Processes and processors."""
    tracking: TrackingConfig = TrackingConfig()
    """Curves."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages to train, in order."""
        return STAGES if self.stage == "all" else tuple(stage for stage in STAGES if str(stage) == self.stage)


class StageRunConfig(Config):
    """One stage of one run, as its folder keeps it."""

    storage: str
    """Root of all outputs."""
    seed: int
    """Seed of everything random."""
    name: str
    """Name of the run that the stage belongs to."""
    stage: Stage
    """Which stage."""
    model: EmosdsConfig
    """The model."""
    trainable: TrainableConfig
    """Which weights it trains."""
    training: SftConfig
    """The training."""
    rehearsal: float
    """Examples of the stages before, as a share of this one's."""
    workers: WorkersConfig
    """Processes and processors."""
    tracking: TrackingConfig
    """Curves."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.training.batch_tokens < self.model.max_tokens:
            raise ValueError(
                f"batch_tokens of stage {self.stage} is {self.training.batch_tokens}, and one example may have "
                f"{self.model.max_tokens} tokens (model.max_tokens): raise the former or lower the latter"
            )
        return self


def resolved(config: TrainEmosdsConfig) -> TrainEmosdsConfig:
    """The settings with paths that mean the same in every folder."""
    values: dict[str, Any] = {}
    if "://" not in config.storage:
        values["storage"] = storage.resolve(config.storage)[1]
    if "://" not in config.model.base and storage.is_folder(config.model.base):
        values["model.base"] = storage.resolve(config.model.base)[1]
    return with_values(config, values)


def stage_run(config: TrainEmosdsConfig, stage: Stage, model: EmosdsConfig) -> StageRunConfig:
    """The settings of one stage, with the model as the units make it."""
    chosen = {1: config.stage_1, 2: config.stage_2, 3: config.stage_3}[stage]
    return StageRunConfig(
        storage=config.storage,
        seed=config.seed,
        name=config.name,
        stage=stage,
        model=model,
        trainable=chosen.trainable,
        training=chosen.training,
        rehearsal=chosen.rehearsal,
        workers=config.workers,
        tracking=config.tracking,
    )
