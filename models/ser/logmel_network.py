"""The convolutions of the embedded encoder: pictures [B, C, M, T] to frames [B, T / 4, D].

Everything beyond a clip's own length is set to zero before every convolution and every pooling, so that the end of a clip looks the
same whether padding follows or nothing. Axes: B batch, C channels, M mel bands, T frames, D width.
"""

import contextlib
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rapport.models.ser.config import LogMelConfig
from rapport.models.ser.frames import frame_mask

_STRIDES = ((2, 1), (2, 2), (2, 2), (2, 1))  # (bands, frames) of each stage
_BAND_STRIDE, _FRAME_STRIDE = 16, 4
_CHANNELS = {"residual": (24, 32, 64, 96), "plain": (32, 48, 64, 96)}


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class _EntryStage(nn.Module):
    """One wide convolution."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.conv = _conv_norm(inputs, outputs, 5, stride)

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
    """Four stages that halve the bands four times and the frames twice."""

    def __init__(self, config: LogMelConfig, inputs: int) -> None:
        super().__init__()
        residual = config.architecture == "residual"
        channels = [inputs, *(max(1, int(c * config.width)) for c in _CHANNELS[config.architecture])]
        kinds = [_EntryStage, *[_ResidualStage] * 3] if residual else [_PlainStage] * 4
        self.stages = nn.ModuleList(
            kind(channels[i], channels[i + 1], stride) for i, (kind, stride) in enumerate(zip(kinds, _STRIDES, strict=True))
        )
        # The early stages keep all their maps: with so few channels, dropping one costs more than it regularises.
        kept = 2 if residual else 1
        self.dropouts = nn.ModuleList(nn.Identity() if i < kept else nn.Dropout2d(config.channel_dropout) for i in range(len(_STRIDES)))
        self.bf16 = config.bf16
        self.width = channels[-1] * (config.bands // _BAND_STRIDE)

    def forward(self, pictures: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, ceil(T / 4), D] and the valid ones of each [B]; `pictures` must be zero beyond `lengths` [B]."""
        pictures = F.pad(pictures, (0, -pictures.shape[3] % _FRAME_STRIDE)).contiguous(memory_format=torch.channels_last)
        with self._precision(pictures.device.type):
            before = frame_mask(lengths, pictures.shape[3])[:, None, None]
            for stage, dropout, (_, stride) in zip(self.stages, self.dropouts, _STRIDES, strict=True):
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


@cache
def _has_fast_bf16(device_type: str) -> bool:
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device_type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
