"""Random changes to log-mel pictures [B, T, M], a different one for each clip of the batch; for training only.

Every draw is made on the CPU from torch's global generator: the same on any device, and kept by a checkpoint.
Axes: B batch, T frames, M mel bands.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rapport.models.ser.config import LogMelAugmentConfig
from rapport.models.ser.frames import frame_mask, mask_block

_NATS_PER_DB = math.log(10) / 10
_SHORTEST_FRAMES = 30  # a clip is not sped up below 0.3 s
_EQUALISER_POINTS = 5


def _uniform(low: float, high: float, like: Tensor) -> Tensor:
    """[B, 1, 1] draws from U(low, high)."""
    return torch.empty(len(like), 1, 1).uniform_(low, high).to(like.device)


class LogMelAugment:
    """The steps of `LogMelAugmentConfig`, in the order of `reshape`, `colour` and `mask`."""

    def __init__(self, config: LogMelAugmentConfig) -> None:
        self.config = config

    def reshape(self, picture: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """The pictures faster or slower, by linear interpolation over time, and their new lengths [B]."""
        if not self.config.tempo:
            return picture, frames
        factor = _uniform(-self.config.tempo, self.config.tempo, picture).exp()[:, 0, 0]
        shortest = frames.clamp(max=_SHORTEST_FRAMES)
        stretched = (frames * factor).long().maximum(shortest)  # [B]
        time = torch.arange(int(stretched.max()), device=picture.device)
        source = (time + 0.5) * (frames / stretched)[:, None] - 0.5  # [B, T'], in frames of the given picture
        source = source.clamp(min=0).minimum((frames - 1)[:, None])
        before = source.floor().long()
        after = (before + 1).minimum((frames - 1)[:, None])
        share = (source - before)[..., None]

        def at(index: Tensor) -> Tensor:
            return picture.gather(1, index[..., None].expand(-1, -1, picture.shape[2]))

        return torch.lerp(at(before), at(after), share), stretched

    def colour(self, picture: Tensor, frames: Tensor) -> Tensor:
        """The pictures (natural logarithms of power) louder or softer, through another microphone, with a noise floor."""
        config = self.config
        if config.gain_db:
            picture = picture + _NATS_PER_DB * _uniform(-config.gain_db, config.gain_db, picture)
        if config.equaliser_db:
            points = _NATS_PER_DB * config.equaliser_db * torch.randn(len(picture), 1, _EQUALISER_POINTS)
            curve = F.interpolate(points, size=picture.shape[2], mode="linear", align_corners=True)  # [B, 1, M]
            picture = picture + curve.to(picture.device)
        if config.noise_p:
            picture = self._noise_floor(picture, frames)
        return picture

    def _noise_floor(self, picture: Tensor, frames: Tensor) -> Tensor:
        chosen = torch.rand(len(picture), 1, 1).to(picture.device) < self.config.noise_p
        valid = frame_mask(frames, picture.shape[1])[..., None]
        peak = picture.masked_fill(~valid, -torch.inf).amax((1, 2), keepdim=True)
        low, high = self.config.noise_below_peak_db
        level = peak - _NATS_PER_DB * _uniform(low, high, picture)
        ripple = 0.3 * torch.randn(picture.shape).to(picture.device)
        return torch.where(chosen, torch.logaddexp(picture, level + ripple), picture)

    def mask(self, picture: Tensor, frames: Tensor, bands: int) -> Tensor:
        """The normalised pictures with random stretches of time, and ranges of the first `bands` rows, set to 0, the mean.

        This is SpecAugment (Park et al. 2019).
        """
        config = self.config
        rows = torch.full_like(frames, bands)
        for _ in range(config.band_masks):
            picture = mask_block(picture, rows, torch.full_like(frames, config.band_mask_bands), dim=2)
        for _ in range(config.time_masks):
            picture = mask_block(picture, frames, (frames // 4).clamp(max=config.time_mask_frames), dim=1)
        return picture
