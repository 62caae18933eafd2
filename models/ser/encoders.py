"""Self-supervised speech encoders (HuBERT, wav2vec 2.0, WavLM) whose output does not depend on padding or batch mates.

Weights come from a hub id or a folder through `transformers`. Axes: B batch, S samples, T frames (20 ms), D width, L layers.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedModel

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.models.adapters import add_adapters, is_adapter
from rapport.models.ser.config import EncoderConfig
from rapport.models.ser.frames import Frames, frame_mask
from rapport.models.ser.mixup import Mix

_MODEL_TYPES = ("hubert", "wav2vec2", "wavlm")
_MASK_VECTOR = "masked_spec_embed"
# Facts of one machine, of no use to whoever loads the saved model.
_LOCAL_FACTS = ("_name_or_path", "_commit_hash", "transformers_version")


class EncoderError(RapportError):
    """An encoder that cannot be loaded or used as asked."""


_valid_samples: ContextVar[Tensor] = ContextVar("valid_samples")


class _MaskedGroupNorm(nn.GroupNorm):
    """Group norm over time, one group a channel, whose statistics leave padding out.

    The base models normalise their first convolution over the whole clip, padding included, and take no attention mask there.
    """

    def __init__(self, norm: nn.GroupNorm, conv: nn.Conv1d) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps, norm.affine)
        self.load_state_dict(norm.state_dict())
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]

    def forward(self, values: Tensor) -> Tensor:
        """[B, D, T] normalised; the valid lengths are those of the clips that this thread is encoding."""
        lengths = (_valid_samples.get() - self.kernel) // self.stride + 1
        with torch.autocast(values.device.type, enabled=False):
            exact = values.float()
            mask = frame_mask(lengths, values.shape[2])[:, None]
            count = lengths[:, None, None]
            mean = (exact * mask).sum(2, keepdim=True) / count
            variance = ((exact - mean) ** 2 * mask).sum(2, keepdim=True) / count
            scaled = (exact - mean) * torch.rsqrt(variance + self.eps) * self.weight[:, None] + self.bias[:, None]
        return scaled.to(values.dtype)


def load_pretrained(config: EncoderConfig) -> "SslEncoder":
    """The encoder that `config.name` stands for, with its weights.

    Raises EncoderError when it cannot be found, holds other weights than its config says, or is of another kind.
    """
    source = config.source
    hub = {"revision": config.revision} if config.revision else {}
    try:
        # safetensors only: other formats are pickles, which can run code while they load.
        model, report = AutoModel.from_pretrained(source, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **hub)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(
            f"cannot load the encoder {source!r}: {error}\nSet encoder.name to a folder saved with save_pretrained (config.json, "
            "model.safetensors, preprocessor_config.json), or to logmel, which needs no weights"
        ) from error
    lacking = sorted(set(report["missing_keys"]) - {_MASK_VECTOR}) + sorted(str(k) for k in report.get("mismatched_keys", ()))
    if lacking:
        raise EncoderError(f"{source!r} lacks {len(lacking)} weights of a {model.config.model_type} encoder, such as {lacking[0]}")
    normalise = config.normalise
    if normalise is None:
        normalise = _wants_normalised(source, hub)
    return SslEncoder(model, config, normalise=normalise)


def rebuild(config: EncoderConfig, facts: Mapping[str, Any]) -> "SslEncoder":
    """The encoder that gave `facts`, with random weights and no adapters: the saved ones are loaded into it."""
    architecture = dict(facts["transformers"])
    model = AutoModel.from_config(AutoConfig.for_model(architecture.pop("model_type"), **architecture), dtype=torch.float32)
    return SslEncoder(model, config, normalise=facts["normalise"], adapters=False)


def _wants_normalised(source: str, hub: Mapping[str, str]) -> bool:
    try:
        extractor = AutoFeatureExtractor.from_pretrained(source, **hub)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(
            f"{source!r} has no preprocessor_config.json, which tells whether clips are scaled to unit variance: "
            f"set encoder.normalise to true or false, as the encoder was trained ({error})"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise EncoderError(f"{source!r} was trained at {extractor.sampling_rate} Hz: wanted an encoder of {SAMPLE_RATE_HZ} Hz")
    return bool(extractor.do_normalize)


class SslEncoder(nn.Module):
    """Frames of a pretrained encoder: its last layer, or a learned mixture of all layers (softmax weights, as in SUPERB)."""

    def __init__(self, model: PreTrainedModel, config: EncoderConfig, *, normalise: bool, adapters: bool = True) -> None:
        super().__init__()
        _check_kind(model, config)
        kept = {k: v for k, v in model.config.to_dict().items() if k not in _LOCAL_FACTS}
        self.facts: dict[str, Any] = {"transformers": kept, "normalise": normalise}
        self.config = config
        self.backbone: Any = model
        self.normalise = normalise
        self.width: int = model.config.hidden_size
        self.layer_logits = nn.Parameter(torch.zeros(model.config.num_hidden_layers + 1)) if config.layer_weights else None
        # Its own masking draws from numpy, whose state no checkpoint of ours holds, and fails on short clips.
        model.config.apply_spec_augment = config.mask_time_p > 0
        model.config.mask_feature_prob = 0.0
        model.config.layerdrop = config.layer_drop
        convolutions: Any = model.feature_extractor
        for layer in convolutions.conv_layers:
            if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
                layer.layer_norm = _MaskedGroupNorm(layer.layer_norm, layer.conv)
        self._shortest_samples = _receptive_field(model)
        self._unfrozen = config.unfreeze_last_n_layers
        if adapters and config.lora.rank:
            add_adapters(model, config.lora)
        self.set_unfrozen_layers(self._unfrozen)

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, first to last."""
        return self.backbone.encoder.layers

    def set_unfrozen_layers(self, last_n: int) -> None:
        """Let the last n transformer layers of a frozen encoder train, and the adapters, and nothing else of it.

        Call it before DDP wraps the model, which looks at what trains only once. Raises EncoderError when there are fewer layers.
        """
        if last_n > len(self.layers):
            raise EncoderError(f"encoder.unfreeze_last_n_layers is {last_n}, and {self.config.name} has {len(self.layers)} layers")
        self._unfrozen = last_n
        self.backbone.requires_grad_(not self.config.frozen)
        for layer in self.layers[len(self.layers) - last_n :] if last_n else ():
            layer.requires_grad_(True)
        for name, parameter in self.backbone.named_parameters():
            if is_adapter(name):
                parameter.requires_grad_(True)
            elif name == _MASK_VECTOR and not self.config.mask_time_p:
                parameter.requires_grad_(False)  # unused, which DDP does not forgive
        self.train(self.training)

    @property
    def trains(self) -> bool:
        """Whether anything in the pretrained network is to be trained."""
        return any(p.requires_grad for p in self.backbone.parameters())

    def train(self, mode: bool = True) -> "SslEncoder":
        """Training mode for what trains only: frozen parts keep their dropout and layer drop off."""
        super().train(mode)
        if self.config.frozen:
            self.backbone.eval()
            for layer in self.layers[len(self.layers) - self._unfrozen :] if self._unfrozen else ():
                layer.train(mode)
            for name, module in self.backbone.named_modules():
                if is_adapter(name):
                    module.train(mode)
        return self

    def forward(self, waveforms: Tensor, lengths: Tensor, mix: Mix | None = None) -> Frames:
        """The frames of `waveforms` [B, S] with `lengths` [B] valid samples; `mix` blends the normalised waveforms.

        Clips shorter than the receptive field (25 ms) are taken as if silence followed.
        """
        waveforms = waveforms * frame_mask(lengths, waveforms.shape[1])
        if self.normalise:
            waveforms = _normalise(waveforms, lengths)
        if mix is not None:
            waveforms, lengths = mix.blend(waveforms), mix.longest(lengths)
        missing = self._shortest_samples - waveforms.shape[1]
        waveforms = nn.functional.pad(waveforms, (0, max(0, missing)))
        lengths = lengths.clamp(min=self._shortest_samples)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains):
            states = self._encode(waveforms, lengths)
        frames: Tensor = self.backbone._get_feat_extract_output_lengths(lengths)
        if self.layer_logits is None:
            return Frames(states[0], frames)
        weights = self.layer_logits.softmax(0)
        return Frames(torch.einsum("l,lbtd->btd", weights, torch.stack(states)), frames)

    def _encode(self, waveforms: Tensor, lengths: Tensor) -> list[Tensor]:
        """The last layer's output [B, T, D], or with layer weights the input of the first layer and the output of each."""
        token = _valid_samples.set(lengths)
        try:
            output = self.backbone(
                waveforms,
                attention_mask=frame_mask(lengths, waveforms.shape[1]).long(),
                mask_time_indices=self._time_mask(lengths, waveforms.shape[1]),
                output_hidden_states=self.layer_logits is not None,
            )
        finally:
            _valid_samples.reset(token)
        if self.layer_logits is None:
            return [output.last_hidden_state]
        # The large models normalise the last layer's output once more: the mixture takes the normalised one.
        return [*output.hidden_states[:-1], output.last_hidden_state]

    def _time_mask(self, lengths: Tensor, samples: int) -> Tensor | None:
        """[B, T] true where a frame is replaced by the mask vector, in stretches that begin at random (wav2vec 2.0, §3.1)."""
        if not (self.training and self.trains and self.config.mask_time_p):
            return None
        span = self.config.mask_time_frames
        frames = int(self.backbone._get_feat_extract_output_lengths(samples))
        starts = torch.rand(len(lengths), frames) < self.config.mask_time_p / span
        inside = nn.functional.max_pool1d(nn.functional.pad(starts.float(), (span - 1, 0)), span, 1) > 0
        return inside.to(lengths.device)


def _normalise(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """[B, S] each clip with zero mean and unit variance over its valid samples, and zeros beyond; given zeros beyond."""
    mask = frame_mask(lengths, waveforms.shape[1])
    count = lengths[:, None]
    mean = waveforms.sum(1, keepdim=True) / count
    centred = (waveforms - mean) * mask
    return centred * torch.rsqrt(centred.square().sum(1, keepdim=True) / count + 1e-7)


def _receptive_field(model: PreTrainedModel) -> int:
    """Samples that one frame sees."""
    samples = 1
    for kernel, stride in zip(reversed(model.config.conv_kernel), reversed(model.config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _check_kind(model: PreTrainedModel, config: EncoderConfig) -> None:
    kind = model.config.model_type
    if kind not in _MODEL_TYPES:
        raise EncoderError(f"{config.name} is a {kind} model: wanted one of {', '.join(_MODEL_TYPES)} (encoder.name)")
    for field in ("add_adapter", "conv_pos_batch_norm"):
        # A convolution after the transformer, and a batch norm before it, would both let padding into valid frames.
        if getattr(model.config, field, False):
            raise EncoderError(f"{config.name} has {field} set, whose output depends on padding: choose another encoder.name")
    if config.mask_time_p and not hasattr(model, _MASK_VECTOR):
        raise EncoderError(f"{config.name} has no mask vector: set encoder.mask_time_p to 0")
