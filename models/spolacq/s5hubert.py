"""The published units: syllables of S5-HuBERT, of which 24,576 centroids are merged to 8,192 units.

A folder or hub id holds `config.json` and `model.safetensors`: a HuBERT under `hubert.`, `quantizer1` [C, D] the centroids, and
`quantizer2` [C] the unit of each. Axes: S samples, T frames, U units, D width, C centroids.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import HubertModel
from transformers.utils import cached_file

from rapport.core.audio import SAMPLE_RATE_HZ, resample
from rapport.core.errors import RapportError
from rapport.models.spolacq.config import HearingConfig
from rapport.models.spolacq.syllables import syllables
from rapport.models.units.codebook import nearest, squared_norms

LAYER = 8
"""Whose output tells syllables apart best."""

_SHORTEST = 400  # samples: one frame


class S5Hubert:
    """A `rapport.models.spolacq.speech_to_units.SpeechToUnits`."""

    def __init__(self, encoder: HubertModel, centroids: npt.NDArray[np.float32], merged: npt.NDArray[np.integer]) -> None:
        """Centroids [C, D] and the unit of each [C]. Raises RapportError when they do not fit each other or the encoder."""
        width = encoder.config.hidden_size
        if centroids.shape[1:] != (width,) or merged.shape != (len(centroids),):
            raise RapportError(f"quantizer1 is {list(centroids.shape)} and quantizer2 {list(merged.shape)}: wanted [C, {width}] and [C]")
        if encoder.config.num_hidden_layers < LAYER:
            raise RapportError(
                f"the encoder has {encoder.config.num_hidden_layers} layers: syllables are told by the output of layer {LAYER}"
            )
        self._encoder = encoder.eval().requires_grad_(False)
        self._centroids, self._merged = centroids, merged.astype(np.int32)
        digest = hashlib.sha256(centroids.tobytes() + self._merged.tobytes())
        for name, tensor in sorted(encoder.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        self._identity = f"s5hubert, weights {digest.hexdigest()}"

    @property
    def count(self) -> int:
        """8,192 as published."""
        return int(self._merged.max()) + 1

    @property
    def identity(self) -> str:
        """A hash of the weights."""
        return self._identity

    def hear(self, clips: Sequence[npt.NDArray[np.floating]], rate_hz: int = SAMPLE_RATE_HZ) -> list[npt.NDArray[np.int32]]:
        """Units [U], one a syllable, of each clip [S], one clip after the other; empty for silence and for less than 25 ms."""
        return [self._hear(resample(np.asarray(clip, np.float32), rate_hz, SAMPLE_RATE_HZ)) for clip in clips]

    @torch.inference_mode()
    def _hear(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        if len(samples) < _SHORTEST or not samples.any():
            return np.zeros(0, np.int32)
        waveform = torch.from_numpy(np.ascontiguousarray(samples))[None].to(self._encoder.device)
        frames = self._encoder(waveform, output_hidden_states=True).hidden_states[LAYER][0].float().cpu().numpy()
        means = np.stack([frames[first:last].mean(0) for first, last in syllables(frames)])
        units: npt.NDArray[np.int32] = self._merged[nearest(means, self._centroids, squared_norms(self._centroids))[0]]
        return units


def load_s5hubert(config: HearingConfig, *, source: str = "", device: str = "cpu") -> S5Hubert:
    """The units of `config.source`; `source` tells where it lies now, when not there.

    Raises RapportError when it cannot be loaded, or lacks its centroids.
    """
    place = source or config.source
    try:
        encoder = HubertModel.from_pretrained(place, revision=config.revision or "main", use_safetensors=True)
        file = Path(place) / "model.safetensors"
        weights = file if file.is_file() else cached_file(place, "model.safetensors", revision=config.revision)
        with safe_open(str(weights), framework="numpy") as tensors:
            centroids, merged = tensors.get_tensor("quantizer1"), tensors.get_tensor("quantizer2")
    except (OSError, ValueError, SafetensorError) as error:
        raise RapportError(f"hearing.source {place} cannot be loaded as S5-HuBERT: {error}") from error
    if encoder.config.num_hidden_layers > LAYER and not encoder.config.do_stable_layer_norm:
        del encoder.encoder.layers[LAYER:]  # their work would be thrown away
    network: nn.Module = encoder
    network.to(device)
    return S5Hubert(encoder, centroids.astype(np.float32), merged)
