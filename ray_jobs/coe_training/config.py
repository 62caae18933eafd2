"""Settings of `train_coe`. Imports neither torch nor ray, so that `--help` stays quick and search spaces can name its fields."""

from typing import Any, Self

from pydantic import Field, model_validator

from rapport.core import storage
from rapport.core.config import Config, JobConfig, Names, with_values
from rapport.models.erc.model_config import ErcModelConfig, ErcTrainableConfig
from rapport.ray_jobs.coe_rollouts.config import RolloutConfig
from rapport.ray_jobs.coe_training.graph import BASE, Stage, Strategy, Switches, stages_of
from rapport.ray_jobs.coe_training.steer.config import SteerConfig
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.training.config import AdamWConfig, TrackingConfig
from rapport.training.sft_config import SftConfig


def _published(epochs: int) -> SftConfig:
    """The published training: twelve examples a step, 2e-4 after a linear rise over a tenth of all steps, then linearly to 0 (CoE, 3.2)."""
    return SftConfig(
        epochs=epochs,
        batch_tokens=4200,
        batch_rows=3,
        batches_per_step=4,
        pool_batches=1,
        optim=AdamWConfig(lr=2e-4, betas=(0.9, 0.95)),
        schedule="linear",
        warmup_ratio=0.1,
    )


class StageConfig(Config):
    """One supervised training."""

    training: SftConfig = SftConfig()
    """The training."""
    examples: int | None = Field(default=None, ge=1)
    """Most training examples, drawn by the seed; by default all."""


class ErcStageConfig(StageConfig):
    """The last stage: labels alone, and perhaps reasons again."""

    rehearsal: int = Field(default=0, ge=0)
    """How often an epoch shows each answer that self-training harvested beside the labels, so that the model still gives reasons when it
    is asked for them; 0 shows none, as published."""


class CustomConfig(Config):
    """Which stages come before the last one in the strategy `custom`; none is the plain baseline."""

    role_play: bool = False
    """Learn to write a character's next line."""
    speaker: bool = False
    """Learn to tell who says a line."""
    steer: bool = False
    """Learn from own right answers to reason before the label."""


class TaskWeights(Config):
    """How much of a mixture each task gives."""

    role_play: float = Field(default=1.0, ge=0)
    """Of writing a character's next line."""
    speaker: float = Field(default=1.0, ge=0)
    """Of telling who says a line."""
    steer: float = Field(default=1.0, ge=0)
    """Of the reasons that self-training harvested."""


class TaskCaps(Config):
    """Most examples that a mixture takes of each task, drawn by the seed; by default all."""

    role_play: int | None = Field(default=None, ge=1)
    """Of writing a character's next line."""
    speaker: int | None = Field(default=None, ge=1)
    """Of telling who says a line."""
    steer: int | None = Field(default=None, ge=1)
    """Of the reasons that self-training harvested."""


class MixtureConfig(Config):
    """How the tasks of a joint training are balanced; the defaults put all examples together, as published."""

    weights: TaskWeights = TaskWeights()
    """Factors on the shares of the tasks."""
    temperature: float = Field(default=1.0, ge=1)
    """Shares go with the number of examples to the power of 1 / temperature: 1 keeps their proportion, a high one makes tasks equal."""
    caps: TaskCaps = TaskCaps()
    """Limits before anything is weighed."""
    memory_validation: float = Field(default=0.05, ge=0, lt=1)
    """Share of the harvest's conversations that is held out, so that the loss on reasons is seen too; 0 trains on all."""


class TrainCoeConfig(JobConfig):
    """How to train a language model that tells emotions in conversations: the stages of a strategy, one after the other."""

    name: str = Field(default="coe", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its model. The same name again continues a run that was interrupted."""
    fresh: bool = False
    """Begin all stages of this run anew: those of these settings, and the run's model, are moved aside."""
    strategy: Strategy = "full_curriculum"
    """Which stages: `full_curriculum` role_play, speaker, steer, erc; `steer_only`; `auxiliary_only` role_play, speaker, erc; `mixed`
    steer, then all tasks together from the base, then erc; `custom` those of `custom`, then erc."""
    custom: CustomConfig = CustomConfig()
    """Switches of the strategy `custom`."""
    data: Names = ("default",)
    """Examples that build_coe made: a name, folder or URI; several, separated by commas, are learned together."""
    start_from: str = ""
    """Model that the strategy starts from in place of the base model: a name, folder or URI."""
    stages: str = ""
    """Folder or URI in which finished stages are kept and found again; <storage>/runs/train_coe/stages unless given."""
    model: ErcModelConfig = ErcModelConfig()
    """The model."""
    trainable: ErcTrainableConfig = ErcTrainableConfig()
    """Which weights every stage but `base` learns; of that, all."""
    base: StageConfig = StageConfig(training=SftConfig(epochs=10))
    """Reading prompts as plain text, before anything else: of the embedded base only, which knows no language yet."""
    role_play: StageConfig = StageConfig(training=_published(2))
    """Writing a character's next line."""
    speaker: StageConfig = StageConfig(training=_published(2))
    """Telling who says a line."""
    steer: SteerConfig = SteerConfig()
    """Learning to reason from own right answers."""
    joint: StageConfig = StageConfig(training=_published(5))
    """All of these together, in the strategy `mixed`."""
    erc: ErcStageConfig = ErcStageConfig(training=_published(20))
    """Telling the emotion of a line."""
    mixture: MixtureConfig = MixtureConfig()
    """How the tasks of `joint` are balanced."""
    compat_bugs: bool = False
    """Run self-training as the published code really ran it, to measure against: it learns from the seeds alone, reads labels by the name
    of the data set, and compares answers with the labels of other lines."""
    compat_workers: int = Field(default=2, ge=1)
    """With `compat_bugs`, the number of GPUs that it is taken to have run on: with one, answers are compared with their own labels."""
    compat_dataset: str = ""
    """With `compat_bugs`, the name under which it knows the data set, such as new_emorynlpv2; the corpus' own unless given."""
    rollouts: RolloutConfig = RolloutConfig()
    """Who writes the answers of self-training."""
    workers: WorkersConfig = WorkersConfig()
    """Processes and processors of trainings."""
    tracking: TrackingConfig = TrackingConfig()
    """Curves."""

    @property
    def graph(self) -> tuple[Stage, ...]:
        """The stages to train, in order."""
        switches = Switches(**dict(self.custom))
        embedded = self.model.is_embedded and not self.start_from
        return stages_of(self.strategy, switches, embedded=embedded, rehearsal=self.erc.rehearsal > 0)

    def training_of(self, stage: Stage) -> SftConfig:
        """How a stage trains; of self-training, how each round does."""
        found: SftConfig = getattr(self, stage.name).training
        return found

    def trainable_in(self, stage: Stage) -> ErcTrainableConfig:
        """Which weights a stage learns."""
        if stage.name == BASE:
            return self.trainable.model_copy(update={"lora": self.trainable.lora.model_copy(update={"rank": 0})})
        return self.trainable

    @model_validator(mode="after")
    def _check(self) -> Self:
        on = [name for name, value in self.custom if value]
        if on and self.strategy != "custom":
            raise ValueError(f"custom switches {', '.join(on)} on, and strategy is {self.strategy}: set strategy to custom")
        for stage in self.graph:
            room, longest = self.training_of(stage).batch_tokens, self.model.tokens.max_tokens
            if room < longest:
                raise ValueError(
                    f"{stage.name}.training.batch_tokens is {room}, and one example may have {longest} tokens (model.tokens.max_tokens): "
                    "raise the former or lower the latter"
                )
        return self


def resolved(config: TrainCoeConfig) -> TrainCoeConfig:
    """The settings with paths that mean the same in every folder."""
    values: dict[str, Any] = {}
    for name in ("storage", "stages"):
        path = getattr(config, name)
        if path and "://" not in path:
            values[name] = storage.resolve(path)[1]
    if "://" not in config.model.base and storage.is_folder(config.model.base):
        values["model.base"] = storage.resolve(config.model.base)[1]
    return with_values(config, values)
