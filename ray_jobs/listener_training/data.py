"""From what build_listener made to the turns of one training: which features, and which sessions are on which side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.listener.build import KIND, MotionStore, open_motion
from rapport.datasets.listener.turns import ListenerTurn, read_turns
from rapport.models.listener.config import FrontEndConfig, PoseKind
from rapport.models.listener.front_end import load_front_end
from rapport.ray_jobs.listener_training.config import ALL, NONE, TrainListenerConfig
from rapport.training.motion_turns import Turns

_FEWEST = 3


@dataclass(frozen=True)
class Sides:
    """The turns of one training."""

    train: list[ListenerTurn]
    validation: list[ListenerTurn]
    test: list[ListenerTurn]
    """Of the held-out session; none where every session is learned from."""


def find_data(root: str, chosen: str, front_end: FrontEndConfig) -> str:
    """The folder of features of that front end: the newest of a corpus below a storage root, or a folder or URI as given, made absolute.

    Raises RapportError that tells how to build them.
    """
    identity = load_front_end(front_end).identity
    if "/" in chosen or storage.is_complete(chosen):
        open_motion(chosen, identity)
        return chosen if "://" in chosen else storage.resolve(chosen)[1]
    wanted = storage.content_key(identity)
    finished = list(storage.completed(storage.join(root, "features", KIND, chosen)))
    fitting = [path for path in finished if storage.content_key(open_motion(path).front_end) == wanted]
    if not fitting:
        others = f"; there are features of {len(finished)} others" if finished else ""
        raise RapportError(
            f"no features and poses of {chosen!r} below {root} of the front end {dict(identity)}{others}: run python -m "
            f"rapport.ray_jobs.build_listener --corpus {chosen} --storage {root} with the front end of the model"
        )
    return fitting[-1]


def usable_turns(folder: str, store: MotionStore) -> list[ListenerTurn]:
    """The turns in a folder that have features and a pose, by id."""
    return sorted((turn for turn in read_turns(folder).turns if turn.turn_id in store), key=lambda turn: turn.turn_id)


def choose_folds(config: TrainListenerConfig, sessions: Sequence[str]) -> tuple[str, ...]:
    """The folds that the settings mean: sessions, or none.

    Raises RapportError for a session that is not there, and where too few are.
    """
    there = sorted(set(sessions))
    if unknown := [fold for fold in config.folds if fold not in (ALL, NONE, *there)]:
        raise RapportError(f"folds: there is no {', '.join(unknown)}; the turns are of {', '.join(there)}")
    wanted = _FEWEST - (config.folds == (NONE,))
    if len(there) < wanted:
        raise RapportError(
            f"the turns are of {len(there)} sessions ({', '.join(there)}): wanted {wanted}, to train, to select by"
            f"{' and to hold out' if wanted == _FEWEST else ''}"
        )
    return tuple(there) if config.folds == (ALL,) else config.folds


def divide(turns: Sequence[ListenerTurn], fold: str) -> Sides:
    """The turns of one fold: the session held out, the one after it to select the model by, and the others.

    With fold none the last session is selected by and all others are learned from. Both persons of a session are on one side.
    """
    sessions = sorted({turn.session for turn in turns})
    inner = sessions[-1] if fold == NONE else sessions[(sessions.index(fold) + 1) % len(sessions)]
    return Sides(
        [turn for turn in turns if turn.session not in (fold, inner)],
        [turn for turn in turns if turn.session == inner],
        [turn for turn in turns if turn.session == fold],
    )


def as_turns(store: MotionStore, turns: Sequence[ListenerTurn], pose: PoseKind) -> Turns:
    """Turns as a training reads them."""
    ids = [turn.turn_id for turn in turns]
    return Turns(ids, np.array([store.lengths(name)[0] for name in ids], dtype=np.int64), store.get, pose)


def describe(sides: Sides, store: MotionStore) -> dict[str, Any]:
    """Of each side its sessions, listeners, turns and hours."""

    def counts(turns: Sequence[ListenerTurn]) -> Mapping[str, Any]:
        frames = sum(store.lengths(turn.turn_id)[0] for turn in turns)
        return {
            "sessions": sorted({turn.session for turn in turns}),
            "listeners": len({turn.listener for turn in turns}),
            "turns": len(turns),
            "hours": round(frames / store.frame_rate_hz / 3600, 3),
        }

    return {side: counts(turns) for side, turns in (("train", sides.train), ("validation", sides.validation), ("test", sides.test))}
