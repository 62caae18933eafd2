"""The generator of HiFi-GAN: the network of transformers, under the names of published weights too."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from rapport.models.spolacq.config import HifiGanConfig
from rapport.models.spolacq.tacotron import BANDS, RATE_HZ

_GAIN, _DIRECTION = re.compile(r"\.(weight_g|parametrizations\.weight\.original0)$"), ("weight_v", "parametrizations.weight.original1")


def build_hifigan(config: HifiGanConfig) -> SpeechT5HifiGan:
    """The network with new weights, from log-mel spectra of 80 bands [T, 80] to samples at 22,050 Hz."""
    return SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=BANDS,
            sampling_rate=RATE_HZ,
            upsample_initial_channel=config.channels,
            upsample_rates=list(config.rates),
            upsample_kernel_sizes=list(config.kernels),
            resblock_kernel_sizes=list(config.residual_kernels),
            resblock_dilation_sizes=[list(dilations) for dilations in config.residual_dilations],
            normalize_before=False,
        )
    )


def hifigan_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of `build_hifigan`, of those or of the original's, whose weights are a gain and a direction."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        renamed = re.sub(r"^ups\.", "upsampler.", name)
        gain = _GAIN.search(renamed)
        if gain:
            layer, old = renamed[: gain.start()], name[: _GAIN.search(name).start()]  # type: ignore[union-attr]
            direction = next(tensors[f"{old}.{kind}"] for kind in _DIRECTION if f"{old}.{kind}" in tensors)
            found[f"{layer}.weight"] = torch._weight_norm(direction, tensor, 0)
        elif not renamed.endswith(_DIRECTION):
            found[renamed] = tensor
    # Of inputs that are to be standardised; the original has none.
    found.setdefault("mean", torch.zeros(BANDS))
    found.setdefault("scale", torch.ones(BANDS))
    return found
