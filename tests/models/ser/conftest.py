"""Tiny encoders of every kind, written to disk as `transformers` writes them, and classifiers built on them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import (
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.config import EncoderConfig, SerConfig

LAYERS = 3
# The kind of network, how its convolutions are normalised, and whether the layer norm comes first, as in the large models.
KINDS = ("hubert-group", "hubert-layer", "wav2vec2-group", "wav2vec2-layer", "wavlm-group", "wavlm-layer")
_CLASSES = {"hubert": (HubertConfig, HubertModel), "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model), "wavlm": (WavLMConfig, WavLMModel)}


def write_encoder(folder: Path, kind: str) -> None:
    """A random encoder with the convolutions of the published ones, few channels, and dropout everywhere."""
    name, norm = kind.split("-")
    config_class, model_class = _CLASSES[name]
    config = config_class(
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=48,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=norm,
        conv_bias=norm == "layer",
        do_stable_layer_norm=norm == "layer",
        hidden_dropout=0.1,
        attention_dropout=0.1,
        activation_dropout=0.1,
        feat_proj_dropout=0.1,
        layerdrop=0.5,
        mask_time_prob=0.5,
        mask_time_length=2,
    )
    torch.manual_seed(7)
    model: PreTrainedModel = model_class(config)
    with torch.no_grad():  # biases and norms as far from their start as training would take them
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=norm == "group", return_attention_mask=norm == "layer").save_pretrained(folder)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny encoder of some kind."""
    root = tmp_path_factory.mktemp("encoders")

    def folder(kind: str) -> Path:
        if not (root / kind).exists():
            write_encoder(root / kind, kind)
        return root / kind

    return folder


@pytest.fixture
def make_classifier(encoder_folder: Callable[[str], Path]) -> Callable[..., SpeechEmotionClassifier]:
    """A classifier on a tiny encoder of some kind, or on the embedded one for kind "logmel"; logits spread as after training."""

    def make(kind: str, config: SerConfig | None = None, **encoder: object) -> SpeechEmotionClassifier:
        name = "logmel" if kind == "logmel" else str(encoder_folder(kind))
        config = config or SerConfig()
        torch.manual_seed(3)
        model = SpeechEmotionClassifier(config.model_copy(update={"encoder": EncoderConfig.model_validate({"name": name, **encoder})}))
        with torch.no_grad():
            model.head.output.weight.mul_(10)
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.5, 2)
                    module.bias.normal_(0, 0.3)
        model.fit_normalisation([speech(2.0, seed=99).numpy()])
        return model

    return make


def speech(duration_s: float, seed: int = 0) -> torch.Tensor:
    """[S] noise that swells and fades, so that no two frames are alike."""
    generator = torch.Generator().manual_seed(seed)
    samples = round(duration_s * 16000)
    swell = torch.sin(torch.arange(samples) / 1600 * (1 + seed % 3)) ** 2
    return 0.3 * swell * torch.randn(samples, generator=generator) + 0.01


def batch(*clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Waveforms [B, S] and lengths [B] of clips of any length; the padding is not zero, as a careless caller's."""
    lengths = torch.tensor([len(c) for c in clips])
    padded = torch.full((len(clips), int(lengths.max())), 0.2)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    return padded, lengths
