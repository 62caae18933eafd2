"""From motions to figures: Ray tasks, one for each model of a fold and then one for each system, each of them plain functions.

A system is one way to move the head: a model, a baseline, or the first model under a control. Where the folds of a run were trained with
several seeds, a system moves to every turn once for each: its figures are the mean over the seeds, and what needs no training is counted
as often, so that all systems tell of the same turns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core.progress import progress
from rapport.core.voice_signals import SIGNALS
from rapport.datasets.listener.build import MotionStore, open_motion
from rapport.datasets.listener.turns import ListenerTurn
from rapport.models.listener.baselines import mean_pose
from rapport.ray_jobs.listener_evaluation.config import EvaluateListenerConfig
from rapport.ray_jobs.listener_evaluation.motions import DRAWN, HEARD, Degrees, baseline_motions, model_motions
from rapport.ray_jobs.listener_evaluation.subject import Contender, Subject
from rapport.ray_jobs.listener_evaluation.voice import voice_signals
from rapport.training.metrics import FloatArray
from rapport.training.motion_metrics import MotionTally
from rapport.training.motion_pairs import MotionPair
from rapport.training.motion_published import published_scores

Repeats = list[dict[str, Degrees]]
"""Turn to motion [T, 3], once for each seed."""


@dataclass(frozen=True)
class System:
    """One way to move the head."""

    name: str
    """Unique in an evaluation."""
    kind: str
    """`model`, `drawn`, `control` or `baseline`."""
    what: str
    """What it does, in a few words."""
    source: str
    """What a model is asked for, see `motions.model_motions`, or the baseline's key."""
    contender: Contender | None = None
    """The model that moves; None for a baseline."""


@dataclass(frozen=True)
class Truth:
    """What happened in a turn."""

    turn: ListenerTurn
    degrees: Degrees
    """[T, 3]"""
    speaker: Mapping[str, FloatArray]
    """Signals [T] of the voice."""

    def pair(self, given: Degrees) -> MotionPair:
        """The turn with a motion [T, 3] that was given for it."""
        truth = self.degrees.astype(np.float64)
        return MotionPair(self.turn.turn_id, self.turn.listener, truth, given.astype(np.float64), self.speaker)


@dataclass(frozen=True)
class Measured:
    """One system's motion, its sums, and its figures by seed, by fold and in the published procedure."""

    system: System
    tally: MotionTally
    by_seed: list[Mapping[str, float]]
    """Figures of each seed; of a baseline none."""
    by_fold: Mapping[str, Mapping[str, float]]
    """Figures of each session that was held out, over its turns and all seeds."""
    published: Mapping[str, float]


_BASELINES = {
    "mean_pose": ("mean pose", "the mean pose of the training turns, held"),
    "start_pose": ("start pose", "the true pose at the start of the turn, held"),
    "running_mean": ("running mean", "the mean of the true motion up to the frame before"),
    "other_motion": ("other motion", "the true motion of somebody else, in a turn that was trained on"),
}
_CONTROLS = {
    "silence": ("hears silence", "the same weights with nothing to hear"),
    "other_voice": ("hears another turn", "the same weights with a turn of another dialogue to hear"),
}


def systems_of(subject: Subject, config: EvaluateListenerConfig) -> list[System]:
    """Everything that is judged, the model in question first."""
    first, *others = subject.contenders
    found = [System(first.name, "model", first.describe(), HEARD, first)]
    if config.draw and first.settings.head.kind == "gaussian":
        found.append(
            System(f"{first.name} (drawn)", "drawn", "the same weights, one of the motions that could be, drawn by the seed", DRAWN, first)
        )
    found += [System(other.name, "model", other.describe(), HEARD, other) for other in others]
    found += [System(f"{first.name} ({_CONTROLS[key][0]})", "control", _CONTROLS[key][1], key, first) for key in config.controls]
    return found + [System(_BASELINES[key][0], "baseline", _BASELINES[key][1], key) for key in config.baselines]


def truths(subject: Subject, session: str) -> dict[str, Truth]:
    """What happened in the turns of a session."""
    store = open_motion(subject.poses)
    found = {}
    for turn_id in subject.folds[session].test:
        _, degrees = store.get(turn_id)
        signals = voice_signals(subject.speech.waveform(turn_id), len(degrees), store.frame_rate_hz)
        found[turn_id] = Truth(subject.turns[turn_id], degrees, signals)
    return found


def measured(system: System, repeats: Repeats, told: Mapping[str, Truth], rate_hz: int) -> Measured:
    """Sums and figures of a system."""
    tally = MotionTally(rate_hz, SIGNALS)
    by_seed: list[Mapping[str, float]] = []
    for motions in repeats:
        pairs = [told[turn].pair(motion) for turn, motion in motions.items()]
        tally.add(pairs)
        if system.contender is not None and len(repeats) > 1:
            own = MotionTally(rate_hz)
            own.add(pairs)
            by_seed.append({name: figure["value"] for name, figure in own.report(resamples=1)["figures"].items()})
    both = ((told[turn].degrees, motion) for motions in repeats for turn, motion in motions.items())
    listeners: dict[str, set[str]] = {}
    for truth in told.values():
        listeners.setdefault(truth.turn.session, set()).add(truth.turn.listener)
    # Nobody is in two sessions, so that the sums of listeners make those of folds.
    by_fold = {session: tally.figures_of(names) for session, names in sorted(listeners.items())}
    return Measured(system, tally, by_seed, by_fold, dict(published_scores(both)))


@dataclass(frozen=True)
class Moved:
    """Everything that was given and what it is worth."""

    measured: dict[str, Measured]
    """By system, the first model before the others."""
    motions: dict[str, Repeats]
    """By system."""
    truths: dict[str, Truth]
    """By turn."""


def move_and_measure(subject: Subject, config: EvaluateListenerConfig) -> Moved:
    """The motion of every system in every turn, and its figures. Ray must be initialised."""
    systems = systems_of(subject, config)
    parts = _run(truths, [(subject, session) for session in subject.folds], "hear", config)
    told = {turn: truth for part in parts for turn, truth in part.items()}
    motions = _motions(subject, systems, config)
    tasks = [(system, motions[system.name], told, subject.rate_hz) for system in systems]
    found = _run(measured, tasks, "measure", config)
    return Moved({system.name: one for system, one in zip(systems, found, strict=True)}, motions, told)


def middle_of(store: MotionStore, train: Sequence[str]) -> npt.NDArray[np.float64]:
    """[3] the mean pose of the turns."""
    return mean_pose(store.get(turn)[1] for turn in train)


def _motions(subject: Subject, systems: Sequence[System], config: EvaluateListenerConfig) -> dict[str, Repeats]:
    """System to the motion of every turn, once for each seed."""
    moving = {c.name: [s for s in systems if s.contender is c] for c in subject.contenders}
    meant = [(c, number, session) for c in subject.contenders for number in range(subject.repeats) for session in subject.folds]
    tasks = [(subject, c, session, number, tuple(s.source for s in moving[c.name]), config.seed) for c, number, session in meant]
    found: dict[str, Repeats] = {system.name: [{} for _ in range(subject.repeats)] for system in systems}
    for (contender, number, _), given in zip(meant, _run(_move, tasks, "move", config), strict=True):
        for system in moving[contender.name]:
            found[system.name][number].update(given[system.source])
    still = [system for system in systems if system.contender is None]
    wanted = tuple(system.source for system in still)
    for given in _run(_hold, [(subject, session, wanted, config.seed) for session in subject.folds], "baselines", config):
        for system in still:
            for repeat in found[system.name]:
                repeat.update(given[system.source])
    return found


def _move(
    subject: Subject, contender: Contender, session: str, number: int, variants: tuple[str, ...], seed: int
) -> dict[str, dict[str, Degrees]]:
    store, fold = open_motion(contender.features), subject.folds[session]
    folder = contender.runs[session][number]
    return model_motions(folder, store, fold, middle_of(store, fold.train), variants, seed)


def _hold(subject: Subject, session: str, names: Sequence[Any], seed: int) -> dict[str, dict[str, Degrees]]:
    store, fold = open_motion(subject.poses), subject.folds[session]
    return baseline_motions(store, fold, middle_of(store, fold.train), names, seed)


def _run(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], title: str, config: EvaluateListenerConfig) -> list[Any]:
    """What the function gives for each tuple of arguments, in order, so many at a time as there are processors."""
    import ray

    task = ray.remote(function)
    # An argument that several tasks share is sent once.
    kept: dict[int, Any] = {}
    for argument in (argument for arguments in tasks for argument in arguments):
        if isinstance(argument, Subject | dict) and id(argument) not in kept:
            kept[id(argument)] = ray.put(argument)
    found: list[Any] = [None] * len(tasks)
    most = config.actors or max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: dict[Any, int] = {}
    with progress(title, len(tasks)) as advance:
        for place in range(len(tasks) + 1):
            while running and (place == len(tasks) or len(running) >= most):
                (ready, *_), _ = ray.wait(list(running))
                found[running.pop(ready)] = ray.get(ready)
                advance(1)
            if place < len(tasks):
                running[task.remote(*(kept.get(id(argument), argument) for argument in tasks[place]))] = place
    return found
