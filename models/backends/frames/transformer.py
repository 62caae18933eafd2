"""Frames of a pretrained encoder (HuBERT, wav2vec 2.0, WavLM): the output of one of its layers, 50 a second.

Layers above the one that is asked for are dropped once loaded. Axes: B batch, S samples, T frames, D width.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.ser.config import EncoderConfig
from rapport.models.ser.encoders import EncoderError, SslEncoder, load_pretrained
from rapport.models.units.config import FrameConfig

Floats = npt.NDArray[np.float32]


def load(config: FrameConfig) -> "TransformerEncoder":
    """The encoder that `config.transformer` names, from a hub id or a folder.

    Raises EncoderError when it cannot be loaded or has fewer layers.
    """
    wanted = config.transformer
    encoder = load_pretrained(EncoderConfig(name=wanted.source, revision=wanted.revision, normalise=wanted.normalise))
    if wanted.layer > len(encoder.layers):
        raise EncoderError(f"transformer.layer is {wanted.layer}: {wanted.source} has {len(encoder.layers)} (0 is the input of the first)")
    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    return TransformerEncoder(encoder, wanted.layer, round(config.batch_s * SAMPLE_RATE_HZ), device)


class TransformerEncoder:
    """A `rapport.core.speech.FrameEncoder`."""

    def __init__(self, encoder: SslEncoder, layer: int, batch_samples: int, device: str) -> None:
        self._layer, self._batch_samples, self._device = layer, batch_samples, torch.device(device)
        del encoder.layers[max(layer, 1) :]
        self._provenance = _identity(encoder, layer)
        self._encoder = encoder.eval().requires_grad_(False).to(self._device)
        strides: Sequence[int] = encoder.backbone.config.conv_stride
        self._hop_s = float(np.prod(strides)) / SAMPLE_RATE_HZ
        self._seen: Any = None
        self._one_at_a_time = threading.Lock()
        block = encoder.layers[max(layer, 1) - 1]
        if layer:
            block.register_forward_hook(self._keep_output)
        else:
            block.register_forward_pre_hook(self._keep_input)

    @property
    def width(self) -> int:
        """D, the hidden size."""
        return self._encoder.width

    @property
    def hop_s(self) -> float:
        """20 ms for the published encoders."""
        return self._hop_s

    @property
    def provenance(self) -> Mapping[str, str]:
        """Kind, layer, and a hash of the weights up to that layer: the same for a hub id and for a copy of it in a folder."""
        return self._provenance

    def encode(self, clips: Sequence[npt.NDArray[np.floating]]) -> list[Floats]:
        """Frames, float32 [T, D], of each clip [S] at 16 kHz, in batches of like length; below 25 ms as if silence followed."""
        found: list[Floats | None] = [None] * len(clips)
        for batch in self._batches([len(clip) for clip in clips]):
            for index, frames in zip(batch, self._encode([clips[i] for i in batch]), strict=True):
                found[index] = frames
        return [frames for frames in found if frames is not None]

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of clips, longest first, of which no batch exceeds the budget once padded."""
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
            if batch and (len(batch) + 1) * lengths[batch[0]] > self._batch_samples:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    @torch.inference_mode()
    def _encode(self, clips: Sequence[npt.NDArray[np.floating]]) -> list[Floats]:
        lengths = torch.tensor([max(len(clip), 1) for clip in clips])
        waveforms = torch.zeros(len(clips), int(lengths.max()))
        for row, clip in zip(waveforms, clips, strict=True):
            row[: len(clip)] = torch.from_numpy(np.array(clip, np.float32))
        with self._one_at_a_time:
            counts = self._encoder(waveforms.to(self._device), lengths.to(self._device)).lengths
            values: Tensor = self._seen
            self._seen = None
        arrays = values.float().cpu().numpy()
        return [frames[:count].copy() for frames, count in zip(arrays, counts.tolist(), strict=True)]

    # A layer's own output, caught on its way: the large models normalise the last one once more, which the published units do not have.
    def _keep_output(self, block: object, inputs: object, output: Any) -> None:
        self._seen = output[0] if isinstance(output, tuple) else output

    def _keep_input(self, block: object, inputs: tuple[Any, ...]) -> None:
        self._seen = inputs[0]


def _identity(encoder: SslEncoder, layer: int) -> dict[str, str]:
    """What makes two encoders the same. Tensors are hashed without names: those change with the version that reads them."""
    used = (t for name, t in encoder.backbone.state_dict().items() if name != "masked_spec_embed")
    digests = sorted(hashlib.sha256(f"{tuple(t.shape)}".encode() + t.contiguous().numpy().tobytes()).hexdigest() for t in used)
    weights = hashlib.sha256("".join(digests).encode()).hexdigest()
    facts = {"backend": "transformer", "kind": encoder.backbone.config.model_type, "layer": layer, "normalise": encoder.normalise}
    return {**{k: str(v) for k, v in facts.items()}, "weights_sha256": weights}
