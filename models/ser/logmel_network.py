"""The convolutions of the embedded encoder: pictures [B, C, M, T] to frames [B, T / 4, D].

Everything beyond a clip's own length is set to zero before every convolution and every pooling, so that the end of a clip looks the
same whether padding follows or nothing. Axes: B batch, C channels, M mel bands, T frames, D width.
"""

import contextlib
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rapport.models.ser.config import LogMelConfig
from rapport.models.ser.frames import frame_mask

Strides = tuple[tuple[int, int], ...]

# Frames are padded to a multiple of this (of every stack's stride, 4, and more): a CPU keeps compiled kernels for every shape it has met.
_FRAME_MULTIPLE = 32
_MEL_STRIDES = ((2, 2), (2, 2), (2, 1), (2, 1))  # (rows, frames) of each stage
_MEL_CHANNELS = {"residual": (24, 32, 64, 96), "plain": (32, 48, 64, 96)}
_PITCH_STRIDES = ((2, 2), (2, 2), (2, 1))
_PITCH_CHANNELS = (16, 24, 16)


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class _StridedStage(nn.Module):
    """One convolution."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], kernel: int = 3) -> None:
        super().__init__()
        self.conv = _conv_norm(inputs, outputs, kernel, stride)

    def forward(self, picture: Tensor, before: Tensor, after: Tensor) -> Tensor:
        return F.relu(self.conv(picture)) * after


class _ResidualStage(nn.Module):
    """Two convolutions, and around them average pooling and a third."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = _conv_norm(inputs, outputs, 3, stride)
        self.second = _conv_norm(outputs, outputs, 3)
        self.skip = nn.Sequential(nn.AvgPool2d(stride), _conv_norm(inputs, outputs, 1))

    def forward(self, picture: Tensor, before: Tensor, after: Tensor) -> Tensor:
        hidden = F.relu(self.first(picture)) * after
        return F.relu(self.second(hidden) + self.skip(picture)) * after


class _PlainStage(nn.Module):
    """One convolution and max pooling."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv = _conv_norm(inputs, outputs, 3)
        self.pool = nn.MaxPool2d(stride)

    def forward(self, picture: Tensor, before: Tensor, after: Tensor) -> Tensor:
        # After ReLU a padded 0 never wins against a clip's last frame, so a half-filled window is that frame.
        return self.pool(F.relu(self.conv(picture)) * before)


class ConvolutionStack(nn.Module):
    """Stages that together halve the frames twice, and the rows of the picture at every stage."""

    def __init__(self, stages: Sequence[nn.Module], strides: Strides, dropouts: Sequence[float], bf16: bool) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.strides = strides
        self.dropouts = nn.ModuleList(nn.Dropout2d(p) if p else nn.Identity() for p in dropouts)
        self.bf16 = bf16

    def forward(self, pictures: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, T', D], T' at least T / 4, and the valid ones of each [B]; `pictures` must be zero beyond `lengths` [B]."""
        pictures = F.pad(pictures, (0, -pictures.shape[3] % _FRAME_MULTIPLE)).contiguous(memory_format=torch.channels_last)
        with self._precision(pictures.device.type):
            before = frame_mask(lengths, pictures.shape[3])[:, None, None]
            for stage, dropout, (_, stride) in zip(self.stages, self.dropouts, self.strides, strict=True):
                lengths = (lengths + stride - 1) // stride
                after = frame_mask(lengths, pictures.shape[3] // stride)[:, None, None]
                pictures = dropout(stage(pictures, before, after))
                before = after
        return pictures.float().flatten(1, 2).transpose(1, 2), lengths

    def _precision(self, device_type: str) -> contextlib.AbstractContextManager[object]:
        # Evaluation stays in float32: bfloat16 kernels round differently for another batch shape, by more than padding may matter.
        if self.training and self.bf16 and _has_fast_bf16(device_type):
            return torch.autocast(device_type, torch.bfloat16)
        return contextlib.nullcontext()


def mel_stack(config: LogMelConfig, inputs: int) -> tuple[ConvolutionStack, int]:
    """The four stages over log-mel pictures of `inputs` channels, and the width D of their frames."""
    residual = config.architecture == "residual"
    channels = [inputs, *(max(1, int(c * config.width)) for c in _MEL_CHANNELS[config.architecture])]
    stages: list[nn.Module] = []
    for i, stride in enumerate(_MEL_STRIDES):
        ends = channels[i], channels[i + 1], stride
        if residual:
            stages.append(_ResidualStage(*ends) if i else _StridedStage(*ends, kernel=5))
        else:
            stages.append(_PlainStage(*ends))
    # The early stages keep all their maps: with so few channels, dropping one costs more than it regularises.
    kept = 2 if residual else 1
    dropouts = [0.0] * kept + [config.channel_dropout] * (len(stages) - kept)
    return ConvolutionStack(stages, _MEL_STRIDES, dropouts, config.bf16), channels[-1] * (config.bands // 2 ** len(stages))


def pitch_stack(config: LogMelConfig) -> tuple[ConvolutionStack, int]:
    """The three stages over pitch-salience pictures, and the width D of their frames."""
    channels = [1, *(max(1, int(c * config.pitch.width)) for c in _PITCH_CHANNELS)]
    stages = [_StridedStage(channels[i], channels[i + 1], stride, kernel=3 if i else 5) for i, stride in enumerate(_PITCH_STRIDES)]
    rows = config.pitch.candidates
    for row_stride, _ in _PITCH_STRIDES:
        rows = -(-rows // row_stride)
    return ConvolutionStack(stages, _PITCH_STRIDES, [0.0] * len(stages), config.bf16), channels[-1] * rows


@cache
def _has_fast_bf16(device_type: str) -> bool:
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device_type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
