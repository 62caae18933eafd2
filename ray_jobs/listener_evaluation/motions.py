"""The motions that are judged: what models give, and what needs no listening. Degrees; axes: T frames, D width of a row of features.

Nothing here knows of Ray: `measure` runs each function as a task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rapport.datasets.listener.build import MotionStore
from rapport.models.listener.baselines import BASELINES
from rapport.ray_jobs.listener_evaluation.config import Baseline
from rapport.training.sampler import derive_seed

Degrees = npt.NDArray[np.float32]
Variant = str
"""`heard`, the motion to the turn itself; `drawn`, by the seed; `silence` and `other_voice`, when something else is heard."""
HEARD, DRAWN, SILENCE, OTHER_VOICE = "heard", "drawn", "silence", "other_voice"


@dataclass(frozen=True)
class Fold:
    """A session that is listened to, and what the models of the fold were trained on."""

    session: str
    test: tuple[str, ...]
    """Turns to listen to."""
    train: tuple[str, ...]
    """Turns that were trained on; the mean pose and the motions of others come from them."""
    dialogue_of: Mapping[str, str]
    """Turn to dialogue."""


def model_motions(
    model_folder: str, store: MotionStore, fold: Fold, middle: npt.NDArray[np.float64], variants: Sequence[Variant], seed: int
) -> dict[Variant, dict[str, Degrees]]:
    """Variant to turn to the motion [T, 3] that a model gives.

    A model whose angles are relative knows nothing of where a head is held: its motion is counted from `middle` [3], the mean pose of
    the training turns. A published network, which ends in angles, is judged by these: our filter and our limits, which begin at rest and
    would lead its head from there to where it is held, are none of its own.
    """
    import torch

    from rapport.models.listener.pretrained import from_pretrained

    torch.set_num_threads(1)  # the tasks beside this one have the other processors
    model = from_pretrained(model_folder)
    offset = middle if model.config.pose == "relative" else np.zeros(3)
    shaped = not model.config.network.gives_angles
    longest = max((store.lengths(turn)[0] for turn in fold.test), default=0)
    nothing = silent_rows(model.front_end.features, longest, store.frame_rate_hz) if SILENCE in variants else None

    def moved(turn: str, variant: Variant) -> Degrees:
        own, _ = store.get(turn)
        if variant == OTHER_VOICE:
            other = partner(turn, fold.test, fold, store, seed)
            own = stretch(store.get(other)[0], len(own), turn, seed)
        elif nothing is not None and variant == SILENCE:
            own = nothing[: len(own)]
        drawn = derive_seed(seed, "drawn", turn) if variant == DRAWN else None
        return (model.predict_features(own, drawn, shaped=shaped) + offset).astype(np.float32)

    return {variant: {turn: moved(turn, variant) for turn in fold.test} for variant in variants}


def baseline_motions(
    store: MotionStore, fold: Fold, middle: npt.NDArray[np.float64], names: Sequence[Baseline], seed: int
) -> dict[str, dict[str, Degrees]]:
    """Baseline to turn to its motion [T, 3].

    `start_pose` and `running_mean` are told the listener's true pose as far as it is past; `other_motion` is a stretch of the true motion
    of somebody else, in a turn that was trained on.
    """

    def moved(turn: str, name: Baseline) -> Degrees:
        _, truth = store.get(turn)
        if name == "other_motion":
            return stretch(store.get(partner(turn, fold.train, fold, store, seed))[1], len(truth), turn, seed)
        return BASELINES[name](truth, middle).astype(np.float32)

    return {name: {turn: moved(turn, name) for turn in fold.test} for name in names}


def partner(turn: str, others: Sequence[str], fold: Fold, store: MotionStore, seed: int) -> str:
    """A turn of another dialogue, drawn among those that are as long; the longest where none is. The turn itself when it is alone."""
    elsewhere = [other for other in others if fold.dialogue_of[other] != fold.dialogue_of[turn]]
    elsewhere = elsewhere or [other for other in others if other != turn] or [turn]
    frames = {other: store.lengths(other)[0] for other in elsewhere}
    enough = [other for other in elsewhere if frames[other] >= store.lengths(turn)[0]]
    if not enough:
        return max(elsewhere, key=lambda other: (frames[other], other))
    draw = np.random.default_rng(derive_seed(seed, "partner", turn))
    return enough[int(draw.integers(len(enough)))]


def stretch(rows: npt.NDArray[np.float32], frames: int, turn: str, seed: int) -> npt.NDArray[np.float32]:
    """[frames, ...] of rows [T, ...]: a part of them drawn for the turn, or all of them, to and fro, where there are too few."""
    if len(rows) < frames:
        return np.pad(rows, ((0, frames - len(rows)), (0, 0)), mode="symmetric")
    first = int(np.random.default_rng(derive_seed(seed, "stretch", turn)).integers(len(rows) - frames + 1))
    return rows[first : first + frames]


def silent_rows(
    features: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]], frames: int, rate_hz: int
) -> npt.NDArray[np.float32]:
    """[frames, D] what a front end gives for silence of that length; a shorter turn hears its beginning."""
    from rapport.core.audio import SAMPLE_RATE_HZ

    return features(np.zeros(-(-frames * SAMPLE_RATE_HZ // rate_hz), np.float32))[:frames]
