"""What one step of a dialogue hands back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rapport.simulator.state import EnvironmentState

Action = np.ndarray | str
"""Speech, float32 [S] at the simulator's rate; or its words, which are then heard without a mistake."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A reset (`previous` is None) or a step.

    `info` of a reset holds:

    | key | value |
    |---|---|
    | `seed` | the episode's seed as text: `reset(options={"episode": ...})` replays it |
    | `scene_id` | the scene that the episode begins in |
    | `offered` | names of the items on offer now, in order |
    | `opening` | the counterpart's opening line, empty when it was not asked for |
    | `failed` | which services could not answer and why; empty when all did |
    | `timings` | seconds waited for each service, a `Timings` |

    and that of a step besides, `offered` and `opening` being those after the turn:

    | key | value |
    |---|---|
    | `transcript` | what the counterpart heard |
    | `verdict` | the judge's reply as it came |
    | `reply` | what the counterpart says to it |
    | `reason` | why the judge moves, empty if it gave none |
    | `problem` | what was wrong with the verdict or ignored of it, empty when nothing was |
    | `item_id`, `item_name` | what was handed over; -1 and empty for nothing |
    | `scene_id`, `next_scene_id` | the scenes before and after the turn |
    | `talk_step` | turns held in this episode, this one included |
    | `silent`, `clipped` | whether the agent's speech was silence, and how many of its samples were at or beyond full scale |
    """

    previous: EnvironmentState | None
    next: EnvironmentState
    action: Action | None
    reward: float
    terminated: bool
    truncated: bool
    observation: Any
    info: dict[str, Any]

    @property
    def over(self) -> bool:
        """Whether the episode ended with this."""
        return self.terminated or self.truncated
