"""Recording of dialogues while they are held: what recorders are told, and environments that tell them.

    env = recorded(DialogueVectorEnv(...), DialogueRecorder("~/rapport/recordings/cafe"))
    ...                      # reset and step as ever
    env.close()              # what is under way is written, and the recorders are closed

An episode is written when it is over, so that a killed run leaves whole episodes. What cannot be written raises.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import gymnasium as gym

from rapport.simulator.media import RecordingError
from rapport.simulator.transition import Transition

AnyEnv = TypeVar("AnyEnv", bound="gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]")
TOLD = ("chosen", "chosen_name", "best")
"""What a recorder may be told of a turn besides its transition: the place of the picture that was chosen, the name of the item that was
meant, and the names of the items that were worth most."""


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """A turn as it is written down."""

    met: Mapping[str, Any]
    """The info of the reset or turn before: the offer and the opening line that the agent met."""
    step: Transition
    told: Mapping[str, Any]
    """Some of `TOLD`."""


@dataclass(slots=True)
class Episode:
    """An episode as far as it has come."""

    number: int
    """Counted from 0 in the order in which episodes begin."""
    start: Transition
    turns: list[RecordedTurn] = field(default_factory=list)

    @property
    def seed(self) -> str:
        """Which episode it is; replays it."""
        return str(self.start.info["seed"])


class Recorder(ABC):
    """Gathers the turns of episodes that are held side by side, and writes each episode when it is over."""

    def __init__(self) -> None:
        self._open: dict[int, Episode] = {}
        self._begun = 0

    def take(self, row: int, step: Transition, told: Mapping[str, Any] | None = None) -> None:
        """Hears of a row's reset or turn. Raises RecordingError when an episode that ends with it cannot be written."""
        if step.previous is None:
            self._leave(row)
            self._open[row] = Episode(self._begun, step)
            self._begun += 1
        elif row in self._open:
            episode = self._open[row]
            met = episode.turns[-1].step.info if episode.turns else episode.start.info
            episode.turns.append(RecordedTurn(met, step, {key: value for key, value in (told or {}).items() if key in TOLD}))
            if step.over:
                self._leave(row)

    def close(self) -> None:
        """Writes what is under way as far as it has come. Raises RecordingError when that fails."""
        for row in list(self._open):
            self._leave(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except RecordingError as lost:
            if error is None:
                raise
            error.add_note(str(lost))  # which must not hide the first

    @abstractmethod
    def write(self, episode: Episode) -> None:
        """Write an episode of one turn or more."""

    def _leave(self, row: int) -> None:
        episode = self._open.pop(row, None)
        if episode is not None and episode.turns:
            self.write(episode)


def recorded(env: AnyEnv, *recorders: Recorder) -> AnyEnv:
    """An environment of dialogues (single or vector, of words, speech or an agent with a body) that tells recorders of all it does."""
    wrapped = _RecordedVectorEnv(env, recorders) if isinstance(env, gym.vector.VectorEnv) else _RecordedEnv(env, recorders)
    return wrapped  # type: ignore[return-value]


class _RecordedEnv(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: gym.Env[Any, Any], recorders: Sequence[Recorder]) -> None:
        super().__init__(env)
        self._rows, self._recorders = env.unwrapped.rows, recorders  # type: ignore[attr-defined]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._tell(info)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        result = self.env.step(action)
        self._tell(result[4])
        return result

    def close(self) -> None:
        for recorder in self._recorders:
            recorder.close()
        super().close()

    def _tell(self, info: Mapping[str, Any]) -> None:
        for recorder in self._recorders:
            recorder.take(0, self._rows.transitions[0], info)


class _RecordedVectorEnv(gym.vector.VectorWrapper):
    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], recorders: Sequence[Recorder]) -> None:
        super().__init__(env)
        self._rows, self._recorders = env.unwrapped.rows, recorders

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:  # type: ignore[override]
        observations, infos = self.env.reset(seed=seed, options=options)
        self._tell(infos)
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        result = self.env.step(actions)
        self._tell(result[4])
        return result

    def close(self, **kwargs: Any) -> None:
        for recorder in self._recorders:
            recorder.close()
        self.env.close(**kwargs)

    def _tell(self, infos: Mapping[str, Any]) -> None:
        for row, step in enumerate(self._rows.transitions):
            told = {key: infos[key][row] for key in TOLD if key in infos and infos[f"_{key}"][row]}
            for recorder in self._recorders:
                recorder.take(row, step, told)
