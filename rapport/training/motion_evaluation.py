"""What a model of head motion says about whole turns, and how far it is off. Axes: T frames, A = 3 angles (roll, pitch, yaw)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rapport.models.listener.heads import Motion
from rapport.models.listener.model import HeadMotionModel, told
from rapport.training.metrics import FloatArray
from rapport.training.motion_accuracy import PoseErrors
from rapport.training.motion_config import MotionConfig
from rapport.training.motion_loss import motion_loss
from rapport.training.motion_pairs import MotionPair, usable
from rapport.training.motion_timing import Correlations
from rapport.training.motion_turns import Turns

BRIEF = ("offset_removed_mae_deg", "mae_deg", "correlation", "lagged_correlation", "lag_s")
"""Figures of `motion_figures` that are explained by `PoseErrors` and `Correlations`."""


class ToldTurn(NamedTuple):
    """A turn and what was told of it."""

    place: int
    """Its index among the turns."""
    targets: npt.NDArray[np.float32]
    """[T, 3] degrees."""
    motion: Motion
    """[T, 3] degrees, neither smoothed nor limited."""
    loss: float
    """Mean loss of the batch that the turn was in."""


def motion_figures(model: HeadMotionModel, turns: Turns, config: MotionConfig) -> dict[str, float]:
    """The figures in `BRIEF` of the poses that `judged` tells; `loss`, that of the training; `turns`, `frames`; and
    `still_mae_deg`, what `offset_removed_mae_deg` is for a head that does not move.
    """
    rate_hz = model.config.front_end.frame_rate_hz
    errors, correlations = PoseErrors(), Correlations(rate_hz)
    sums, still = np.zeros(errors.width + correlations.width), np.zeros(errors.width)
    loss_sum, frames = 0.0, 0
    for turn in tell_turns(model, turns, config):
        loss_sum, frames = loss_sum + turn.loss * len(turn.targets), frames + len(turn.targets)
        truth = turn.targets.astype(np.float64)
        name = turns.ids[turn.place]
        if (pair := usable(MotionPair(name, None, truth, judged(model, turn.motion)))) is not None:
            sums += np.concatenate([errors.statistics(pair), correlations.statistics(pair)])
            still += errors.statistics(MotionPair(name, None, pair.truth, np.zeros_like(pair.truth)))
    found = {**errors.scores(sums[: errors.width]), **correlations.scores(sums[errors.width :])}
    return {
        "loss": loss_sum / max(1, frames),
        **{name: float(found[name]) for name in BRIEF},
        "still_mae_deg": float(errors.scores(still)["offset_removed_mae_deg"]),
        "turns": len(turns),
        "frames": frames,
    }


@torch.no_grad()
def tell_turns(model: HeadMotionModel, turns: Turns, config: MotionConfig) -> Iterator[ToldTurn]:
    """What the model tells of every turn, in evaluation mode, turns of like length after each other."""
    was_training, device = model.training, model.rest.device
    rate_hz = model.config.front_end.frame_rate_hz
    model.eval()
    try:
        for indices in turns.evaluation_batches(config.evaluation_batch_s * rate_hz):
            batch = turns.batch(turns.whole(indices)).to(device)
            motion = model(batch.features, batch.lengths)
            loss = float(motion_loss(motion, batch, model.spread, rate_hz, config.loss))
            mean, targets = motion.mean.cpu(), batch.targets.cpu().numpy()
            log_deviation = None if motion.log_deviation is None else motion.log_deviation.cpu()
            for row, place in enumerate(indices.tolist()):
                frames = int(turns.lengths[place])
                own = Motion(mean[row, :frames], None if log_deviation is None else log_deviation[row, :frames])
                yield ToldTurn(place, targets[row, :frames], own, loss)
    finally:
        model.train(was_training)


def judged(model: HeadMotionModel, motion: Motion) -> FloatArray:
    """[T, 3] the poses that a model is judged by where it tells the motion [T, 3] of a turn: those that are given, smoothed and limited.

    A published network, which ends in angles, is judged by these alone: filter and limits are not its own.
    """
    if model.config.network.gives_angles:
        return motion.mean.double().numpy()
    shape = model.shaper()
    return np.array([shape(mean, deviation) for mean, deviation in zip(*told(motion), strict=True)])
