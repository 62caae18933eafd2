"""Pitch salience: how well each candidate pitch explains a spectrum, by subharmonic summation (Hermes 1988).

A log-mel picture hides the melody of the voice: its lowest bands are wider than the steps of an intonation. Here the spectrum, whitened
and compressed, is summed over the harmonics of every candidate, which one matrix product does. Axes: B batch, T frames, F Fourier
bins, P pitch candidates.
"""

import torch
from torch import Tensor

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.ser.config import PitchConfig
from rapport.models.ser.frames import frame_mask

_WHITENING_HZ = 110.0  # half width of the neighbourhood whose mean is taken off, so that peaks count and vowels do not
_GAIN = 100.0  # puts a clearly voiced frame near 1


def pitch_filters(config: PitchConfig, n_fft: int, scale: float = 1.0) -> Tensor:
    """[F, P] weights of every Fourier bin in every candidate, for a voice that shall look `scale` times as high as it is."""
    bins = n_fft // 2 + 1
    step_hz = SAMPLE_RATE_HZ / n_fft
    candidates_hz = config.min_hz * 2 ** (torch.arange(config.candidates) / config.per_octave) / scale
    filters = torch.zeros(bins, config.candidates)
    columns = torch.arange(config.candidates)
    for harmonic in range(1, config.harmonics + 1):
        position = candidates_hz * harmonic / step_hz
        below = position.floor().long()
        inside = below < bins - 1
        weight = config.decay ** (harmonic - 1)
        share = position - below
        filters[below[inside], columns[inside]] += weight * (1 - share[inside])
        filters[below[inside] + 1, columns[inside]] += weight * share[inside]
    index = torch.arange(bins)
    near = (index[:, None] - index).abs() <= round(_WHITENING_HZ / step_hz)
    local_mean = near / near.sum(1, keepdim=True)
    return (torch.eye(bins) - local_mean).T @ filters


def pitch_salience(power: Tensor, filters: Tensor, frames: Tensor) -> Tensor:
    """[B, T, P] the salience of each candidate, at least 0 and independent of the clip's level.

    `power` is [B, T, F], `filters` [F, P] or one for each clip [B, F, P], `frames` [B] the valid frames.
    """
    # Power to the fourth root: a weak harmonic counts nearly as much as a strong one. Two roots take a tenth of the time of pow.
    compressed = power.sqrt().sqrt()
    level = compressed.sum(2) * frame_mask(frames, power.shape[1])  # [B, T]
    level = level.sum(1) / frames
    return torch.log1p(_GAIN * torch.relu(compressed @ filters) / (level[:, None, None] + 1e-6))
