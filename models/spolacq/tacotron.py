"""Tacotron 2 over units: the network of torchaudio, under the names of published weights too, and the spectra it learns.

Axes: S samples, T frames, M mel bands.
"""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks
from torchaudio.models import Tacotron2

from rapport.models.spolacq.config import TacotronConfig

RATE_HZ = 22_050
HOP, WINDOW = 256, 1024  # samples: 11.6 ms and 46 ms
BANDS = 80
"""Mel bands, 0 to 8 kHz."""

_HIGHEST_HZ = 8_000.0
_FLOOR = 1e-5
_WITHIN_ROOT = 1e-9


def build_tacotron(config: TacotronConfig) -> Tacotron2:
    """The network with new weights."""
    return Tacotron2(
        n_mels=BANDS,
        n_symbol=config.symbols,
        symbol_embedding_dim=config.embedding,
        encoder_embedding_dim=config.embedding,
        encoder_n_convolution=config.encoder_layers,
        encoder_kernel_size=config.encoder_kernel,
        decoder_rnn_dim=config.decoder,
        decoder_max_step=config.max_frames,
        decoder_dropout=config.decoder_dropout,
        attention_rnn_dim=config.decoder,
        attention_hidden_dim=config.attention,
        attention_location_n_filter=config.location_filters,
        attention_location_kernel_size=config.location_kernel,
        attention_dropout=config.attention_dropout,
        prenet_dim=config.prenet,
        postnet_n_convolution=config.postnet_layers,
        postnet_kernel_size=config.postnet_kernel,
        postnet_embedding_dim=config.postnet,
        gate_threshold=config.stop,
    )


def tacotron_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of `build_tacotron`, of those or of NVIDIA's, whose layers lie one module deeper."""
    return {name.replace(".linear_layer.", ".").replace(".conv.", "."): tensor for name, tensor in tensors.items()}


def log_mels(samples: Tensor) -> Tensor:
    """[M, T] logarithms of mel magnitudes of samples [S] at 22,050 Hz, T = S // 256, as HiFi-GAN's vocoders were trained on.

    Clips shorter than the half window that is mirrored at either end get silence behind them.
    """
    margin = (WINDOW - HOP) // 2
    padded = torch.nn.functional.pad(samples, (0, max(0, WINDOW - len(samples))))
    mirrored = torch.nn.functional.pad(padded[None, None], (margin, margin), mode="reflect")[0, 0]
    window = torch.hann_window(WINDOW, device=samples.device)
    spectra = torch.stft(mirrored, WINDOW, HOP, window=window, center=False, return_complex=True)
    magnitudes = (spectra.real.square() + spectra.imag.square() + _WITHIN_ROOT).sqrt()
    mels: Tensor = (_filters().to(samples.device) @ magnitudes).clamp_min(_FLOOR).log()
    return mels


@cache
def _filters() -> Tensor:
    """[M, bins] triangles of equal area on Slaney's scale."""
    filters: Tensor = melscale_fbanks(WINDOW // 2 + 1, 0.0, _HIGHEST_HZ, BANDS, RATE_HZ, norm="slaney", mel_scale="slaney").T
    return filters
