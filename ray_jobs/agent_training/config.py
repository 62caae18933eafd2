"""Settings of `train_agent`. Imports neither torch nor ray, so that `--help` stays quick and search spaces can name its fields."""

from typing import Self

from pydantic import Field, model_validator

from rapport.core import storage
from rapport.core.config import JobConfig, with_values
from rapport.datasets.agent_data.config import AgentDataConfig
from rapport.models.spolacq.config import BodyConfig
from rapport.models.spolacq.policy_config import PolicyConfig
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_services.config import HostsConfig
from rapport.ray_jobs.agent_training.settings import LearningConfig
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.simulator.config import AgentEnvConfig, SimulatorConfig
from rapport.training.config import TrackingConfig
from rapport.training.image_to_units_config import ImageToUnitsTrainingConfig
from rapport.training.units_to_speech_config import UnitsToSpeechTrainingConfig


class TrainAgentConfig(JobConfig):
    """How an agent learns to speak, and then what to say."""

    name: str = Field(default="agent", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of the agent. The same name again continues a run that was interrupted."""
    fresh: bool = False
    """Begin the learning anew: an earlier run and agent of that name are moved aside. What the agent speaks with is kept."""
    task: str = "cafe"
    """The task: the name of a shipped one, or a folder."""
    strict: bool = True
    """Check the task's files; false lets pass what the published simulator does."""
    prompt: str = ""
    """The judge's prompt file; the shipped one unless given."""
    services: ServicesConfig = ServicesConfig()
    """The counterpart. Its voice and pictures also make what the body learns from."""
    hosts: HostsConfig = HostsConfig()
    """Where the counterpart's services run while the agent acts."""
    simulator: SimulatorConfig = SimulatorConfig()
    """How dialogues are held; `mode` and `sampling_rate_hz` follow from the agent."""
    environment: AgentEnvConfig = AgentEnvConfig()
    """How the body is joined to dialogues; `actions` follow from the algorithm."""
    body_from: str = ""
    """Folder of a finished body, or name of an agent whose body to share; unless given, one is trained, or found again."""
    data: AgentDataConfig = AgentDataConfig()
    """What the body learns from."""
    body: BodyConfig = BodyConfig()
    """The body."""
    image_to_units: ImageToUnitsTrainingConfig = ImageToUnitsTrainingConfig()
    """How it learns to say what it sees."""
    units_to_speech: UnitsToSpeechTrainingConfig = UnitsToSpeechTrainingConfig()
    """How its voice learns to speak, where that is learned (body.voice.kind tacotron without a tacotron_source)."""
    workers: WorkersConfig = WorkersConfig()
    """What the body's trainings run on; its count stays 1."""
    policy: PolicyConfig = PolicyConfig()
    """The networks that learn what to say."""
    learning: LearningConfig = LearningConfig()
    """How they learn it."""
    tracking: TrackingConfig = TrackingConfig()
    """Curves."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.workers.count != 1:
            raise ValueError(f"workers.count is {self.workers.count}: one worker trains a body, wanted 1")
        if self.learning.algorithm == "tqc" and self.learning.tqc.dropped >= self.learning.tqc.quantiles:
            raise ValueError(f"learning.tqc.dropped is {self.learning.tqc.dropped}: wanted fewer than quantiles")
        return self


def resolved(config: TrainAgentConfig) -> TrainAgentConfig:
    """The settings with paths that mean the same in every folder."""
    values = {"storage": config.storage}
    for field, path in (("task", config.task), ("prompt", config.prompt), ("body_from", config.body_from)):
        if path and storage.exists(path) and ("/" in path or field == "prompt"):
            values[field] = path
    return with_values(config, {field: path if "://" in path else storage.resolve(path)[1] for field, path in values.items()})
