"""The speech emotion classifier: encoder, attention pooling, a small head.

    waveforms [B, S] -> encoder -> frames [B, T, D] -> attention pooling -> [B, P] -> head -> logits [B, E]
                                         └─ mean [B, D] -> gradient reversal -> corpus logits [B, C]   (optional)

Axes: B batch, S samples at 16 kHz, T frames, D width of a frame, P width of the pooled vector, H width of the head, E emotions.
Padding a clip, or changing its batch mates, changes its logits by at most 1e-4 in evaluation mode.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rapport.core import storage
from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.saving import ModelError, load_folder, load_strict, save_folder
from rapport.models.ser.config import FeatureMaskConfig, HeadConfig, SerConfig
from rapport.models.ser.domain import DomainBranch
from rapport.models.ser.frames import Frames, frame_mask, mask_block, masked_mean
from rapport.models.ser.logmel import LogMelEncoder
from rapport.models.ser.mixup import Mix
from rapport.models.ser.pooling import AttentionPooling

_KIND = "ser"
_ADAPTERS = "encoder_adapter"


@dataclass(frozen=True)
class SerOutput:
    """What the classifier says of a batch."""

    logits: Tensor
    """[B, E], in the order of the model's `emotions`."""
    embedding: Tensor
    """[B, P] the pooled frames."""
    latent: Tensor
    """[B, H] the head's hidden layer; the embedding itself when the head is linear."""
    attention: Tensor
    """[B, T] how much each frame counts: sums to 1, 0 on padding."""
    frame_lengths: Tensor
    """[B] valid frames."""
    domain_logits: Tensor | None = None
    """[B, C] which corpus; None without the domain branch."""


class ClassificationHead(nn.Module):
    """Dropout, linear, GELU, dropout, linear; without a hidden layer dropout and linear."""

    def __init__(self, width: int, emotions: int, config: HeadConfig) -> None:
        super().__init__()
        self.hidden: nn.Module = nn.Identity()
        if config.hidden:
            self.hidden = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.hidden), nn.GELU())
        self.dropout = nn.Dropout(config.hidden_dropout if config.hidden else config.dropout)
        self.output = nn.Linear(config.hidden or width, emotions)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """The logits [B, E] and the hidden layer [B, H], given the pooled frames [B, P]."""
        latent = self.hidden(pooled)
        return self.output(self.dropout(latent)), latent


class SpeechEmotionClassifier(nn.Module):
    """One of E emotions from a clip of speech.

    Built from its config, a pretrained encoder comes with its weights and all else starts at random.
    """

    def __init__(self, config: SerConfig, encoder: Any = None) -> None:
        super().__init__()
        self.config = config
        self.encoder: Any = encoder or _build_encoder(config)
        width = int(self.encoder.width)
        self.pooling = AttentionPooling(width, config.pooling.heads, config.pooling.deviation)
        self.head = ClassificationHead(self.pooling.output_width, len(config.emotions), config.head)
        self.domain: DomainBranch | None = None
        if config.domain.grl_lambda:
            hidden = (config.head.hidden or 256) // 2
            self.domain = DomainBranch(width, hidden, config.domain.domains, config.head.dropout, config.domain.grl_lambda)
        if config.encoder.embedded and config.encoder.frozen:
            self.encoder.requires_grad_(False)
        self.train(self.training)

    def forward(self, waveforms: Tensor, lengths: Tensor, *, mix: Mix | None = None, warp: float = 1.0) -> SerOutput:
        """The output for `waveforms` [B, S] float32 at 16 kHz, of which the first `lengths` [B] samples of each are valid.

        `mix` blends the clips in pairs (log-mel pictures of the embedded encoder, waveforms of a pretrained one). `warp` is the
        embedded encoder's filter scale in evaluation.
        """
        extra = {"warp": warp} if self.config.encoder.embedded else {}
        frames: Frames = self.encoder(waveforms, lengths, mix, **extra)
        values = frames.values
        if self.training:
            values = _mask_features(values, frames.lengths, self.config.feature_mask)
        mask = frame_mask(frames.lengths, values.shape[1])
        pooled, attention = self.pooling(values, mask)
        logits, latent = self.head(pooled)
        domain_logits = None if self.domain is None else self.domain(masked_mean(values, mask))
        return SerOutput(logits, pooled, latent, attention, frames.lengths, domain_logits)

    def train(self, mode: bool = True) -> "SpeechEmotionClassifier":
        """Training mode, but for a frozen encoder."""
        super().train(mode)
        if self.config.encoder.embedded and self.config.encoder.frozen:
            self.encoder.eval()
        return self

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions in the order of the logits."""
        return self.config.emotions

    def fit_normalisation(self, waveforms: Iterable[np.ndarray]) -> None:
        """Fit the embedded encoder's input scale to training clips [S], before training; a pretrained encoder has its own."""
        if isinstance(self.encoder, LogMelEncoder):
            self.encoder.fit_normalisation(waveforms)

    def set_unfrozen_layers(self, last_n: int) -> None:
        """Gradual unfreezing: let the last n transformer layers of a frozen pretrained encoder train from now on."""
        if isinstance(self.encoder, LogMelEncoder):
            raise ModelError("the embedded encoder has no transformer layers to unfreeze: it trains as a whole")
        self.encoder.set_unfrozen_layers(last_n)

    def parameter_groups(self) -> dict[str, list[tuple[str, nn.Parameter]]]:
        """All parameters as "encoder" (pretrained, wants a small rate) and "new" (began at random); frozen ones too.

        A frozen parameter gets no gradient, which optimisers pass over, and may be unfrozen later.
        """
        groups: dict[str, list[tuple[str, nn.Parameter]]] = {"encoder": [], "new": []}
        for name, parameter in self.named_parameters():
            pretrained = name.startswith("encoder.backbone.") and "lora_" not in name
            groups["encoder" if pretrained else "new"].append((name, parameter))
        return groups

    def save_pretrained(
        self, folder: str | Path, *, config: SerConfig | None = None, card: str | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Write the model folder (path or URI): weights, `config.json`, model card, `metrics.json`, adapters in PEFT form.

        `config` replaces the saved settings (a fitted temperature, the trained window), `card` the plain model card.
        """
        config = config or self.config
        facts: dict[str, Any] = {"model": config.model_dump(mode="json"), "sample_rate_hz": SAMPLE_RATE_HZ}
        tensors: dict[str, Tensor] = self.state_dict()
        if not isinstance(self.encoder, LogMelEncoder):
            from rapport.models.adapters import is_adapter, plain_name, save_adapters

            facts["encoder"] = self.encoder.facts
            tensors = {plain_name(k): v for k, v in tensors.items() if not is_adapter(k)}
            if config.encoder.lora.rank:
                with tempfile.TemporaryDirectory() as local:
                    save_adapters(self.encoder.backbone, Path(local))
                    storage.put_folder(local, storage.join(folder, _ADAPTERS))
        save_folder(folder, _KIND, facts, tensors, card=card or _plain_card(config), metrics=metrics)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "SpeechEmotionClassifier":
        """The saved model, on the CPU, in evaluation mode; the encoder it was built from is not needed.

        Raises ModelError when the folder is absent or incomplete, or when any weight is missing, superfluous or of another shape.
        """
        local, saved, tensors = load_folder(folder, _KIND)
        config = _read_config(saved, folder)
        if config.encoder.embedded:
            model = cls(config)
            load_strict(model, tensors, folder)
        else:
            from rapport.models.adapters import load_adapters
            from rapport.models.ser.encoders import rebuild

            encoder = rebuild(config.encoder, saved["encoder"])
            model = cls(config, encoder)
            load_strict(model, tensors, folder)
            if config.encoder.lora.rank:
                load_adapters(encoder.backbone, local / _ADAPTERS)
                encoder.set_unfrozen_layers(config.encoder.unfreeze_last_n_layers)
        return model.eval()


def _build_encoder(config: SerConfig) -> Any:
    if config.encoder.embedded:
        return LogMelEncoder(config.encoder.logmel)
    from rapport.models.ser.encoders import load_pretrained  # transformers takes seconds to import

    return load_pretrained(config.encoder)


def _mask_features(values: Tensor, lengths: Tensor, config: FeatureMaskConfig) -> Tensor:
    """[B, T, D] with one block of frames and one of channels zeroed in every clip, for a share `p` of the batches."""
    if not config.p or float(torch.rand(())) >= config.p:
        return values
    widths = torch.full_like(lengths, values.shape[2])
    values = mask_block(values, lengths, torch.full_like(lengths, config.max_frames), dim=1, narrowest=1)
    return mask_block(values, widths, torch.full_like(lengths, config.max_channels), dim=2, narrowest=1)


def _read_config(saved: Mapping[str, Any], folder: object) -> SerConfig:
    try:
        return SerConfig.model_validate(saved["model"])
    except (KeyError, ValueError) as error:
        raise ModelError(f"{folder}/config.json was written by another version ({saved.get('rapport_version')}): {error}") from error


def _plain_card(config: SerConfig) -> str:
    return (
        "---\nlibrary_name: rapport\npipeline_tag: audio-classification\ntags: [speech-emotion-recognition]\n---\n"
        f"# Speech emotion classifier\n\nEncoder `{config.encoder.name}`; tells apart {', '.join(config.emotions)}.\n\n"
        "```python\nfrom rapport.models.ser.inference import Predictor\n\n"
        'Predictor.from_pretrained("<this folder>").predict([waveform_16khz_float32])\n```\n'
    )
