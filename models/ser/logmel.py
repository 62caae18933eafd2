"""The embedded encoder: log-mel and pitch-salience frames, small convolutional networks and a bidirectional GRU, trained from scratch.

    waveform [B, S] -> power [B, T, F] ─┬─ log-mel [B, T, M] ── pictures [B, C, M, T] ──┬─ frames [B, T / 4, D]
                                        └─ salience [B, T, P] ─ pictures [B, 1, P, T] ──┘

Axes: B batch, S samples, T frames, F Fourier bins, M mel bands, P pitch candidates, C channels, D width.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.models.ser.config import LogMelConfig
from rapport.models.ser.frames import Frames, frame_mask
from rapport.models.ser.logmel_augment import LogMelAugment
from rapport.models.ser.logmel_network import ConvolutionStack, mel_stack, pitch_stack
from rapport.models.ser.mixup import Mix
from rapport.models.ser.pitch import pitch_filters, pitch_salience
from rapport.models.ser.recurrent import BidirectionalGru

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


class Pictures(NamedTuple):
    """What the front end makes of a batch; everything is zero beyond a clip's own frames."""

    mel: Tensor
    """[B, C, M, T] float32."""
    pitch: Tensor | None
    """[B, 1, P, T] float32; None where the picture is left out."""
    lengths: Tensor
    """[B] valid frames."""


class LogMelFrontEnd(nn.Module):
    """Pictures of speech, changed at random while training."""

    mean: Tensor
    deviation: Tensor
    window: Tensor
    filterbanks: Tensor
    """[W, F, M + P] mel and pitch filters of each voice size, side by side."""

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.config = config
        self.augment = LogMelAugment(config.augment)
        warp = config.augment.warp
        scales = np.exp(np.linspace(-warp, warp, _WARP_STEPS)) if warp else np.ones(1)
        self.register_buffer("window", torch.hann_window(config.window_samples), persistent=False)
        self.register_buffer("filterbanks", torch.stack([_filters(config, float(s)) for s in scales]), persistent=False)
        rows = config.bands + config.pitch.candidates
        self.register_buffer("mean", torch.zeros(rows))
        self.register_buffer("deviation", torch.ones(rows))

    @property
    def channels(self) -> int:
        """Channels of a picture."""
        return 2 if self.config.deltas else 1

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """[B] frames of clips of `lengths` samples: one at the first sample, and one every hop."""
        return 1 + lengths // self.config.hop_samples

    @torch.no_grad()
    def fit_normalisation(self, waveforms: Iterable[np.ndarray]) -> None:
        """Set the mean of each band, and one deviation of all bands and one mean and deviation of all salience, from clips [S].

        The clips are those of training, none of them augmented. Raises RapportError when there is none.
        """
        rows, bands = len(self.mean), self.config.bands
        total = torch.zeros(rows, dtype=torch.float64)
        squares, frames = total.clone(), 0
        for waveform in waveforms:
            clip = torch.from_numpy(np.asarray(waveform, np.float32)).to(self.window.device)[None]
            lengths = self.frame_lengths(torch.tensor([clip.shape[1]], device=clip.device))
            rows_of_clip = self._analyse(clip, lengths, self._plain_filters())[0].double().cpu()  # [T, M + P]
            total, squares, frames = total + rows_of_clip.sum(0), squares + (rows_of_clip**2).sum(0), frames + len(rows_of_clip)
        if not frames:
            raise RapportError("there is no clip to normalise by: the training split is empty")
        mean, square = total / frames, squares / frames
        deviation = (square - mean**2).clamp(min=0).sqrt()
        deviation[:bands] = deviation[:bands].mean()
        if rows > bands:
            # Unlike bands, candidates are alike: where a picture is bright must not depend on which pitches the corpus has.
            mean[bands:] = mean[bands:].mean()
            deviation[bands:] = (square[bands:].mean() - mean[bands] ** 2).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1.0))

    @torch.no_grad()
    def forward(self, waveforms: Tensor, lengths: Tensor, mix: Mix | None = None, warp: float = 1.0) -> Pictures:
        """The pictures of `waveforms` [B, S] float32, of which the first `lengths` [B] samples of each are valid.

        `warp` is the filter scale in evaluation; in training it is drawn for each clip.
        """
        bands = self.config.bands
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float() * frame_mask(lengths, waveforms.shape[1])
            frames = self.frame_lengths(lengths)
            rows = self._analyse(waveforms, frames, self._choose_filters(len(waveforms), warp))  # [B, T, M + P]
            if self.training:
                rows, frames = self.augment.reshape(rows, frames)
                rows = torch.cat([self.augment.colour(rows[..., :bands], frames), rows[..., bands:]], dim=2)
            rows = self._normalise(rows, frames)
            if self.training:
                rows = self.augment.mask(rows, frames, bands)
            mel = rows[..., :bands]
            channels = [mel, 3 * _deltas(mel, frames)] if self.config.deltas else [mel]
            valid = frame_mask(frames, rows.shape[1])[:, None, None]  # last of all: a slope reaches two frames beyond the end
            pictures = torch.stack(channels, dim=1).transpose(2, 3) * valid  # [B, C, M, T]
            pitch = rows[..., bands:].transpose(1, 2)[:, None] * valid if self.config.pitch.candidates else None  # [B, 1, P, T]
            if mix is None:
                return Pictures(pictures, pitch, frames)
            return Pictures(mix.blend(pictures), None if pitch is None else mix.blend(pitch), mix.longest(frames))

    def _plain_filters(self) -> Tensor:
        return self.filterbanks[[len(self.filterbanks) // 2]]

    def _choose_filters(self, batch: int, warp: float) -> Tensor:
        """[B or 1, F, M + P] the filters of each clip."""
        if self.training:
            return self.filterbanks[torch.randint(len(self.filterbanks), (batch,)).to(self.filterbanks.device)]
        if warp != 1.0:
            return _filters(self.config, warp).to(self.filterbanks.device)[None]
        return self._plain_filters()

    def _analyse(self, waveforms: Tensor, frames: Tensor, filters: Tensor) -> Tensor:
        """[B, T, M + P] natural logarithms of the power in each band, and the salience of each candidate pitch."""
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
        power = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)  # [B, T, F]
        mel = torch.log(power @ filters[..., : config.bands] + _POWER_FLOOR)
        if not config.pitch.candidates:
            return mel
        return torch.cat([mel, pitch_salience(power, filters[..., config.bands :], frames)], dim=2)

    def _normalise(self, rows: Tensor, frames: Tensor) -> Tensor:
        rows = (rows - self.mean) / self.deviation
        if self.config.normalise == "corpus":
            return rows
        bands = self.config.bands
        valid = frame_mask(frames, rows.shape[1])[..., None]
        clip_mean = (rows[..., :bands] * valid).sum(1, keepdim=True) / frames[:, None, None]  # [B, 1, M]
        shift = clip_mean if self.config.normalise == "clip_bands" else clip_mean.mean(2, keepdim=True)
        return torch.cat([rows[..., :bands] - shift, rows[..., bands:]], dim=2)


def _filters(config: LogMelConfig, scale: float) -> Tensor:
    """[F, M + P] the mel filters and the pitch filters for one size of voice."""
    return torch.cat([mel_filterbank(config, scale), pitch_filters(config.pitch, config.n_fft, scale)], dim=1)


def _deltas(picture: Tensor, frames: Tensor) -> Tensor:
    """[B, T, M] the slope over five frames; beyond its ends a clip goes on as its first and last frame."""
    time = torch.arange(picture.shape[1], device=picture.device)

    def ahead(by: int) -> Tensor:
        index = (time + by).clamp(min=0).minimum(frames[:, None] - 1)  # [B, T]
        return picture.gather(1, index[..., None].expand_as(picture))

    return (2 * (ahead(2) - ahead(-2)) + ahead(1) - ahead(-1)) / 10


class LogMelEncoder(nn.Module):
    """Frames of width `width`, one every four hops, from waveforms."""

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.config = config
        self.front_end = LogMelFrontEnd(config)
        self.mel, width = mel_stack(config, self.front_end.channels)
        self.pitch: ConvolutionStack | None = None
        if config.pitch.candidates:
            self.pitch, pitch_width = pitch_stack(config)
            width += pitch_width
        self.project = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(width, config.projection),
            nn.LayerNorm(config.projection),
            nn.GELU(),
        )
        self.gru: BidirectionalGru | None = None
        if config.gru_hidden:
            self.gru = BidirectionalGru(config.projection, config.gru_hidden, config.gru_layers, config.dropout)
        self.width = 2 * config.gru_hidden or config.projection

    def fit_normalisation(self, waveforms: Iterable[np.ndarray]) -> None:
        """Set the front end's mean and deviation from training clips [S]; call it before training."""
        self.front_end.fit_normalisation(waveforms)

    def forward(self, waveforms: Tensor, lengths: Tensor, mix: Mix | None = None, warp: float = 1.0) -> Frames:
        """The frames of `waveforms` [B, S] with `lengths` [B] valid samples; `mix` blends log-mel pictures of the batch."""
        pictures: Pictures = self.front_end(waveforms, lengths, mix, warp)
        hidden, valid = self.mel(pictures.mel, pictures.lengths)  # [B, T, D]
        if self.pitch is not None:
            hidden = torch.cat([hidden, self.pitch(pictures.pitch, pictures.lengths)[0]], dim=2)
        hidden = self.project(hidden)
        if self.gru is not None:
            hidden = self.gru(hidden, valid)
        return Frames(hidden, valid)
