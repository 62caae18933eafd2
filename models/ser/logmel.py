"""The embedded encoder: log-mel frames, a small convolutional network and a bidirectional GRU, trained from scratch.

    waveform [B, S] -> power [B, F, T] -> log-mel [B, T, M] -> pictures [B, C, M, T] -> frames [B, T / 4, D]

Axes: B batch, S samples, T frames, F Fourier bins, M mel bands, C channels, D width.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.models.ser.config import LogMelConfig
from rapport.models.ser.frames import Frames, frame_mask
from rapport.models.ser.logmel_augment import LogMelAugment
from rapport.models.ser.logmel_network import ConvolutionStack
from rapport.models.ser.mixup import Mix

_POWER_FLOOR = 1e-6
_WARP_STEPS = 17  # filterbanks between the smallest and the largest voice; the middle one is plain


def mel_filterbank(config: LogMelConfig, scale: float = 1.0) -> Tensor:
    """[F, M] triangular filters, each of sum 1, that make formants look `scale` times as high as they are.

    Filters pushed over the top of the spectrum are empty: nothing was recorded there.
    """
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (config.min_hz, config.max_hz))
    edges = 700 * (10 ** (torch.linspace(low, high, config.bands + 2, dtype=torch.float64) / 2595) - 1) / scale
    steps = torch.arange(config.bands + 1, -1, -1, dtype=torch.float64) / (config.bands + 2)
    edges = torch.minimum(edges, SAMPLE_RATE_HZ / 2 * (1 - 1e-3 * steps))  # a hair apart, as they are divided by
    bins = torch.linspace(0, SAMPLE_RATE_HZ / 2, config.n_fft // 2 + 1, dtype=torch.float64)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    filters = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
    return (filters / (filters.sum(0) + 1e-8)).float()


class LogMelFrontEnd(nn.Module):
    """Pictures of speech, changed at random while training."""

    mean: Tensor
    deviation: Tensor
    window: Tensor
    filterbanks: Tensor

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.config = config
        self.augment = LogMelAugment(config.augment)
        warp = config.augment.warp
        scales = np.exp(np.linspace(-warp, warp, _WARP_STEPS)) if warp else np.ones(1)
        self.register_buffer("window", torch.hann_window(config.window_samples), persistent=False)
        self.register_buffer("filterbanks", torch.stack([mel_filterbank(config, float(s)) for s in scales]), persistent=False)
        self.register_buffer("mean", torch.zeros(config.bands))
        self.register_buffer("deviation", torch.ones(1))

    @property
    def channels(self) -> int:
        """Channels of a picture."""
        return 2 if self.config.deltas else 1

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """[B] frames of clips of `lengths` samples: one at the first sample, and one every hop."""
        return 1 + lengths // self.config.hop_samples

    @torch.no_grad()
    def fit_normalisation(self, waveforms: Iterable[np.ndarray]) -> None:
        """Set the mean of each band and their common deviation from training clips [S], none of them augmented.

        Raises RapportError when there is none.
        """
        total = torch.zeros(self.config.bands, dtype=torch.float64)
        squares, frames = total.clone(), 0
        for waveform in waveforms:
            clip = torch.from_numpy(np.asarray(waveform, np.float32)).to(self.window.device)[None]
            picture = self._log_mel(clip, self._plain_filters())[0].double().cpu()  # [T, M]
            total, squares, frames = total + picture.sum(0), squares + (picture**2).sum(0), frames + len(picture)
        if not frames:
            raise RapportError("there is no clip to normalise by: the training split is empty")
        mean = total / frames
        self.mean.copy_(mean)
        self.deviation.fill_(float((squares / frames - mean**2).clamp(min=0).sqrt().mean()) or 1.0)

    @torch.no_grad()
    def forward(self, waveforms: Tensor, lengths: Tensor, mix: Mix | None = None, warp: float = 1.0) -> tuple[Tensor, Tensor]:
        """The pictures [B, C, M, T] float32, zero beyond the number [B] of valid frames, which is given too.

        `waveforms` is [B, S] float32, `lengths` [B] its valid samples, `warp` the filter scale in evaluation.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float() * frame_mask(lengths, waveforms.shape[1])
            picture = self._log_mel(waveforms, self._filters(len(waveforms), warp))
            frames = self.frame_lengths(lengths)
            if self.training:
                picture, frames = self.augment.reshape(picture, frames)
                picture = self.augment.colour(picture, frames)
            picture = self._normalise(picture, frames)
            if self.training:
                picture = self.augment.mask(picture, frames)
            valid = frame_mask(frames, picture.shape[1])[:, None, :, None]
            channels = [picture, 3 * _deltas(picture, frames)] if self.config.deltas else [picture]
            picture = (torch.stack(channels, dim=1) * valid).transpose(2, 3)  # [B, C, M, T]
            return (picture, frames) if mix is None else (mix.blend(picture), mix.longest(frames))

    def _plain_filters(self) -> Tensor:
        return self.filterbanks[[len(self.filterbanks) // 2]]

    def _filters(self, batch: int, warp: float) -> Tensor:
        """[B or 1, F, M] the filters of each clip."""
        if self.training:
            return self.filterbanks[torch.randint(len(self.filterbanks), (batch,)).to(self.filterbanks.device)]
        if warp != 1.0:
            return mel_filterbank(self.config, warp).to(self.filterbanks.device)[None]
        return self._plain_filters()

    def _log_mel(self, waveforms: Tensor, filters: Tensor) -> Tensor:
        """[B, T, M] natural logarithms of the power in each band."""
        config = self.config
        spectrum = torch.stft(
            waveforms,
            config.n_fft,
            config.hop_samples,
            config.window_samples,
            self.window,
            pad_mode="constant",  # what follows a short clip in a batch is zeros as well; a mirror image would differ
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()  # [B, F, T]
        return torch.log(power.transpose(1, 2) @ filters + _POWER_FLOOR)

    def _normalise(self, picture: Tensor, frames: Tensor) -> Tensor:
        picture = (picture - self.mean) / self.deviation
        if self.config.normalise == "corpus":
            return picture
        valid = frame_mask(frames, picture.shape[1])[..., None]
        clip_mean = (picture * valid).sum(1, keepdim=True) / frames[:, None, None]  # [B, 1, M]
        return picture - (clip_mean if self.config.normalise == "clip_bands" else clip_mean.mean(2, keepdim=True))


def _deltas(picture: Tensor, frames: Tensor) -> Tensor:
    """[B, T, M] the slope over five frames; beyond its ends a clip goes on as its first and last frame."""
    time = torch.arange(picture.shape[1], device=picture.device)

    def ahead(by: int) -> Tensor:
        index = (time + by).clamp(min=0).minimum(frames[:, None] - 1)  # [B, T]
        return picture.gather(1, index[..., None].expand_as(picture))

    return (2 * (ahead(2) - ahead(-2)) + ahead(1) - ahead(-1)) / 10


class LogMelEncoder(nn.Module):
    """Frames of width `width`, one every 40 ms at the default hop, from waveforms."""

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.config = config
        self.front_end = LogMelFrontEnd(config)
        self.stack = ConvolutionStack(config, self.front_end.channels)
        self.project = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(self.stack.width, config.projection),
            nn.LayerNorm(config.projection),
            nn.GELU(),
        )
        self.gru: nn.GRU | None = None
        if config.gru_hidden:
            between = config.dropout if config.gru_layers > 1 else 0.0
            self.gru = nn.GRU(
                config.projection, config.gru_hidden, config.gru_layers, batch_first=True, bidirectional=True, dropout=between
            )
        self.width = 2 * config.gru_hidden or config.projection

    def fit_normalisation(self, waveforms: Iterable[np.ndarray]) -> None:
        """Set the front end's mean and deviation from training clips [S]; call it before training."""
        self.front_end.fit_normalisation(waveforms)

    def forward(self, waveforms: Tensor, lengths: Tensor, mix: Mix | None = None, warp: float = 1.0) -> Frames:
        """The frames of `waveforms` [B, S] with `lengths` [B] valid samples; `mix` blends log-mel pictures of the batch."""
        pictures, valid = self.front_end(waveforms, lengths, mix, warp)
        hidden, valid = self.stack(pictures, valid)  # [B, T, D]
        hidden = self.project(hidden)
        if self.gru is not None:
            packed = nn.utils.rnn.pack_padded_sequence(hidden, valid.cpu(), batch_first=True, enforce_sorted=False)
            hidden, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=hidden.shape[1])
        return Frames(hidden, valid)
