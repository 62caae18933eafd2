"""The base classes of agents and trainers that agent folders are written against: `agents.base_agent` and its siblings, in one place."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

ImagePaths = Mapping[str, Sequence[str]]
"""`train`, `val` and `test` to the files of pictures."""
AudioPaths = Mapping[str, Sequence[Sequence[str]]]
"""The same keys to the clips of each picture, in the order of the pictures."""


class BaseAgent(ABC):
    """An agent that speaks."""

    def __init__(self, agent_config: Mapping[str, Any]) -> None:
        self.agent_config = agent_config

    @abstractmethod
    def action2speech(self, action: np.ndarray) -> np.ndarray:
        """Speech, float32 [S] at the experiment's `base.sampling_rate`, of an action."""


class BaseImage2Unit(ABC):
    """Says in units what a picture shows."""

    @abstractmethod
    def get_unit(self, path: str) -> list[str]:
        """The units of the picture in a file."""


class BaseSpeech2Unit(ABC):
    """Writes speech down in units."""

    @abstractmethod
    def get_unit(self, path: str) -> list[str]:
        """The units of the clip in a file."""


class BaseUnit2Speech(ABC):
    """Speaks units."""

    @abstractmethod
    def get_speech(self, units: Sequence[str]) -> np.ndarray:
        """Speech, float32 [S], of units."""


class BaseRLUnit(ABC):
    """Chooses actions."""

    @abstractmethod
    def infer(self, observation: Any) -> np.ndarray:
        """The action for an observation."""


class BaseAgentWithUnits(BaseAgent):
    """An agent that speaks through units it found in speech."""

    @property
    @abstractmethod
    def i2u(self) -> BaseImage2Unit:
        """From pictures to units."""

    @property
    @abstractmethod
    def s2u(self) -> BaseSpeech2Unit:
        """From speech to units."""

    @property
    @abstractmethod
    def u2s(self) -> BaseUnit2Speech:
        """From units to speech."""

    def train_i2u(self, *args: Any, **kwargs: Any) -> None:
        """Train `i2u`; nothing unless overridden."""

    def train_u2s(self, *args: Any, **kwargs: Any) -> None:
        """Train `u2s`; nothing unless overridden."""

    def train_s2u(self, *args: Any, **kwargs: Any) -> None:
        """Train `s2u`; nothing unless overridden."""

    def pretrain(self, *args: Any, **kwargs: Any) -> None:
        """Train all parts; nothing unless overridden."""


class BaseTrainer(ABC):
    """How an agent learns: first from clips and pictures, then in the environment.

    The first five and seven arguments are given by position, the two folders by keyword; the others may bear other names.
    """

    @abstractmethod
    def pretrain(
        self,
        agent: BaseAgent,
        image_paths: ImagePaths,
        audio_paths: AudioPaths,
        base_config: Mapping[str, Any],
        pretrain_config: Mapping[str, Any],
        agent_dir: str,
        agent_experiment_dir: str,
    ) -> dict[str, Any]:
        """What `train_rl` is told as `pretrain_info`."""

    @abstractmethod
    def train_rl(
        self,
        agent: BaseAgent,
        env_train: gym.Env,
        env_test: gym.Env,
        base_config: Mapping[str, Any],
        env_config: Mapping[str, Any],
        agent_config: Mapping[str, Any],
        pretrain_info: Mapping[str, Any],
        agent_dir: str,
        agent_experiment_dir: str,
    ) -> None:
        """Train in `env_train` (`env_config` is the experiment's `rl.env`, `agent_config` its `rl.agent`)."""


class BaseTrainerWithUnits(BaseTrainer):
    """A trainer of an agent with units, whose pretraining has two parts."""

    @abstractmethod
    def train_i2u(
        self,
        agent: BaseAgentWithUnits,
        image_paths: ImagePaths,
        audio_paths: AudioPaths,
        base_config: Mapping[str, Any],
        pretrain_config: Mapping[str, Any],
        agent_dir: str,
        agent_experiment_dir: str,
    ) -> dict[str, Any]:
        """`word_map_path` and `output_model_path`."""

    @abstractmethod
    def train_u2s(
        self,
        agent: BaseAgentWithUnits,
        image_paths: ImagePaths,
        audio_paths: AudioPaths,
        base_config: Mapping[str, Any],
        pretrain_config: Mapping[str, Any],
        agent_dir: str,
        agent_experiment_dir: str,
    ) -> dict[str, Any]:
        """`u2m` (`u2m_model_dir`, `u2m_pretrain_config`, `data_info`) and `m2s`."""

    def pretrain(
        self,
        agent: BaseAgent,
        image_paths: ImagePaths,
        audio_paths: AudioPaths,
        base_config: Mapping[str, Any],
        pretrain_config: Mapping[str, Any],
        agent_dir: str,
        agent_experiment_dir: str,
    ) -> dict[str, Any]:
        """`{"i2u": ..., "u2s": ...}`, of both parts trained one after the other."""
        if not isinstance(agent, BaseAgentWithUnits):
            raise TypeError(f"{type(self).__name__} trains agents with units; {type(agent).__name__} is no BaseAgentWithUnits")
        parts = {"i2u": self.train_i2u, "u2s": self.train_u2s}
        return {
            name: train(
                agent,
                image_paths,
                audio_paths,
                base_config,
                pretrain_config,
                agent_dir=agent_dir,
                agent_experiment_dir=agent_experiment_dir,
            )
            for name, train in parts.items()
        }
