"""Dialogues side by side: the engine under every environment. It batches their requests stage by stage, and seeds their episodes.

    rows = DialogueRows(task, services, template, config, rows=32, seed=7)
    rows.reset()
    rows.step(waveforms)

A row whose episode is over begins the next one in place of a turn, and its action is not looked at.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from rapport.core.errors import RapportError
from rapport.simulator.asking import Asker, ServiceError
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.prompt_book import PromptBook
from rapport.simulator.requests import Request, Services
from rapport.simulator.seeding import PROBE, EpisodeSeed, kept_random
from rapport.simulator.session import DialogueSession
from rapport.simulator.task import Task
from rapport.simulator.transition import Action, Transition
from rapport.simulator.utterance import ActionError


class StateError(RapportError, ValueError):
    """A saved state of other rows than these."""


class DialogueRows:
    """B dialogues. Row b of a vector and a lone row that was opened as `first_row=b` go through the same episodes."""

    def __init__(
        self,
        task: Task,
        services: Services,
        template: str,
        config: SimulatorConfig,
        *,
        rows: int = 1,
        seed: int = 0,
        worker: int = 0,
        first_row: int = 0,
        reseeds: bool = True,
    ) -> None:
        """With `reseeds` False, only the first reset takes a seed, and later ones go on to new episodes whatever seed they are given."""
        self.task = task
        self.config = config
        self.over = np.ones(rows, dtype=bool)
        """Rows whose episode has ended, or not begun: their next step is a reset."""
        self.transitions: list[Transition] = []
        """The last of each row; none before the first reset."""
        self._asker = Asker(services, retries=config.retries, failures_allowed=config.failures_allowed)
        prompts = PromptBook(template, task.scenario)
        self._sessions = [DialogueSession(task, prompts, config) for _ in range(rows)]
        self._master, self._worker, self._first_row = seed, worker, first_row
        self._episodes = [0] * rows
        self._reseeds, self._takes_seed = reseeds, True

    def __len__(self) -> int:
        return len(self._sessions)

    def probe(self) -> Transition:
        """The beginning of an episode that is never counted: what observations look like. Raises ServiceError if it cannot be had."""
        session = self._sessions[0]
        seed = EpisodeSeed(self._master, self._worker, self._first_row, PROBE)
        self._settle({0: session.begin(seed)})
        if session.step.info["failed"]:
            raise ServiceError(f"no dialogue can begin: {session.step.info['failed']}")
        return session.step

    def reset(self, seed: int | None = None, episodes: Sequence[str] | None = None) -> list[Transition]:
        """Begins an episode in every row: the first of `seed`, else each row's next; or just those that `episodes` names, one a row.

        Replaying named episodes moves no row's count.
        """
        if episodes is None:
            if seed is not None and self._takes_seed:
                self._master, self._episodes = int(seed), [0] * len(self)
            self._takes_seed = self._reseeds
            seeds = [self._next_seed(row) for row in range(len(self))]
        else:
            if len(episodes) != len(self):
                raise StateError(f"{len(episodes)} episodes were named for {len(self)} rows: name one a row")
            seeds = [EpisodeSeed.parse(episode) for episode in episodes]
        self._advance(lambda row: self._sessions[row].begin(seeds[row]))
        return self.transitions

    def step(self, actions: Sequence[Action | None]) -> list[Transition]:
        """A turn in every row that is not over, the next episode's beginning in the others. Nothing is asked for those's actions.

        Raises ActionError, naming the row, for an action that is not speech, before any turn is held.
        """
        if not self.transitions:
            raise gym.error.ResetNeeded("these dialogues have not begun: call reset first")
        if len(actions) != len(self):
            raise ActionError(f"{len(actions)} actions for {len(self)} rows: wanted one a row")
        self._advance(lambda row: self._begin_next(row) if self.over[row] else self._act(row, actions[row]))
        return self.transitions

    def get_state(self) -> dict[str, Any]:
        """Seeds and counts of episodes, as JSON holds them. Episodes under way are not part of it."""
        return {"master": self._master, "worker": self._worker, "first_row": self._first_row, "episodes": list(self._episodes)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from a saved state: the next reset, also one with a seed, begins the episodes that would have come next then.

        Raises StateError for the state of another number of rows.
        """
        if len(state["episodes"]) != len(self):
            raise StateError(f"the state of {len(state['episodes'])} rows, for {len(self)} rows: open as many sessions as were saved")
        self._master, self._worker, self._first_row = (int(state[key]) for key in ("master", "worker", "first_row"))
        self._episodes = [int(count) for count in state["episodes"]]
        self._takes_seed = False
        self.over[:] = True

    def _next_seed(self, row: int) -> EpisodeSeed:
        seed = EpisodeSeed(self._master, self._worker, self._first_row + row, self._episodes[row])
        self._episodes[row] += 1
        return seed

    def _begin_next(self, row: int) -> list[Request]:
        return self._sessions[row].begin(self._next_seed(row))

    def _act(self, row: int, action: Any) -> list[Request]:
        try:
            return self._sessions[row].act(action)
        except ActionError as error:
            raise ActionError(f"row {row}: {error}") from error

    def _advance(self, start: Callable[[int], list[Request]]) -> None:
        # Rows act before rows begin: an action that is refused then leaves all counts and streams as they were.
        order = np.argsort(self.over, kind="stable").tolist()
        with kept_random():
            self._settle({row: start(row) for row in order})
        timings = self._asker.take_timings()
        self.transitions = [session.step for session in self._sessions]
        for row, step in enumerate(self.transitions):
            step.info["timings"] = timings
            self.over[row] = step.over

    def _settle(self, waiting: dict[int, list[Request]]) -> None:
        """Asks until nobody wants anything: always those at the earliest stage, so that each stage of a turn is one batch for all."""
        waiting = {row: requests for row, requests in waiting.items() if requests}
        sessions = self._sessions
        while waiting:
            stage = min(sessions[row].stage for row in waiting)
            rows = [row for row in waiting if sessions[row].stage == stage]
            results = self._asker.ask([request for row in rows for request in waiting[row]])
            at = 0
            for row in rows:
                end = at + len(waiting[row])
                more = sessions[row].feed(results[at:end])
                at = end
                if more:
                    waiting[row] = more
                else:
                    del waiting[row]
