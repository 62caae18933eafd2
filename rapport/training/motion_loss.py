"""What a training of head motion makes small. Axes: B batch, T frames, A = 3 angles (roll, pitch, yaw)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from rapport.models.listener.heads import Motion
from rapport.training.motion_config import MotionLossConfig
from rapport.training.motion_turns import MotionBatch

_STILL = 1e-6  # mean square in deviations: motion that is none correlates with nothing


def motion_loss(told: Motion, batch: MotionBatch, spread: Tensor, frame_rate_hz: int, config: MotionLossConfig) -> Tensor:
    """The loss of motion told [B, T, 3], in degrees, against the targets of a batch, over the frames that are scored.

    `spread` [3] is what errors are counted in, degrees. All frames count alike, whichever turn they are of; a part whose weight is 0 is
    not computed.
    """
    scored = batch.scored[..., None]  # [B, T, 1]
    frames = scored.sum(1).clamp(min=1)  # [B, 1]
    motion, targets = told.mean / spread, batch.targets / spread
    error = ((motion - targets) * scored).float()
    offset = error.sum(1) / frames  # [B, 3]
    error = error - (1 - config.offset) * offset[:, None]
    loss = error.new_zeros(())
    if config.position_weight:
        loss = loss + config.position_weight * _mean(_penalty(error, config.position), scored)
    if config.velocity_weight:
        velocity = error.diff(dim=1) * frame_rate_hz
        loss = loss + config.velocity_weight * _mean(_penalty(velocity, "huber"), scored[:, 1:] & scored[:, :-1])
    if config.correlation_weight:
        loss = loss + config.correlation_weight * (1 - mean_correlation(motion, targets, scored))
    if config.likelihood_weight and told.log_deviation is not None:
        log_deviation = told.log_deviation - spread.log()
        surprise = 0.5 * (error * (-log_deviation).exp()).square() + log_deviation
        loss = loss + config.likelihood_weight * _mean(surprise, scored)
    return loss


def mean_correlation(motion: Tensor, targets: Tensor, scored: Tensor) -> Tensor:
    """Pearson's r of motion and targets [B, T, 3] over the frames that `scored` [B, T, 1] tells, the mean over angles and turns.

    Turns weigh as much as they have frames. Targets that are still are left out; motion that is still correlates with nothing, and yet
    has a gradient that sets it moving.
    """
    frames = scored.sum(1).clamp(min=1)  # [B, 1]
    x, y = ((values - ((values * scored).sum(1) / frames)[:, None]) * scored for values in (motion, targets))
    squares = y.square().sum(1) / frames  # [B, 3]
    r = (x * y).sum(1) / frames / ((x.square().sum(1) / frames + _STILL) * (squares + _STILL)).sqrt()
    weights = frames * (squares > _STILL)
    return (r * weights).sum() / weights.sum().clamp(min=1)


def _penalty(error: Tensor, kind: str) -> Tensor:
    return error.square() if kind == "squared" else 2 * F.huber_loss(error, torch.zeros_like(error), reduction="none")


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Over the frames [..., T, 1] that count and the angles of values [..., T, 3]; 0 without any."""
    return (values * counted).sum() / (values.shape[-1] * counted.sum()).clamp(min=1)
