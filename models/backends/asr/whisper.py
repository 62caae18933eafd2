"""Transcription by any Whisper or CTC checkpoint (wav2vec 2.0, HuBERT, WavLM, ... with a letter head), by hub id or folder."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCTC,
    AutoTokenizer,
    PretrainedConfig,
    WhisperForConditionalGeneration,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING

from rapport.core.audio import SAMPLE_RATE_HZ, voice_activity
from rapport.core.errors import RapportError

MAX_PIECE_S = 30.0
"""Longer speech is heard in pieces, cut in its pauses: Whisper hears no more at once, and attention is quadratic in length."""

_AT_ONCE = 16  # pieces that a Whisper hears together
_SHORTEST = SAMPLE_RATE_HZ // 10  # samples; less than their receptive field makes convolutions fail


def load(model: str = "openai/whisper-base", *, device: str = "auto", language: str | None = None) -> "PretrainedTranscriber":
    """A transcriber with the weights of a hub id or of a folder saved with `save_pretrained` (safetensors only).

    `language`, such as `en`, is told to a multilingual Whisper, which finds it out otherwise. `device` is a torch device, or `auto`.
    Raises RapportError when the checkpoint cannot be found or is of another kind.
    """
    return PretrainedTranscriber(model, device, language)


class PretrainedTranscriber:
    """A `rapport.core.speech.Transcriber`."""

    def __init__(self, source: str, device: str, language: str | None) -> None:
        self._device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        try:
            config = AutoConfig.from_pretrained(source)
            kind = _model_class(source, config)
            self._features = AutoFeatureExtractor.from_pretrained(source)
            self._tokenizer = AutoTokenizer.from_pretrained(source)
            # safetensors only: other formats are pickles, which can run code while they load.
            model, report = kind.from_pretrained(source, dtype=torch.float32, use_safetensors=True, output_loading_info=True)
        except (OSError, ValueError, KeyError) as error:
            raise RapportError(
                f"cannot load the transcriber {source!r}: {error}\nName a hub id or a folder of a Whisper or CTC model saved with "
                "save_pretrained (config.json, model.safetensors, preprocessor_config.json and its tokenizer's files)"
            ) from error
        # Only training uses the vector that stands for masked frames; some published checkpoints lack it.
        lacking = sorted(k for k in report["missing_keys"] if not k.endswith("masked_spec_embed"))
        if lacking:
            raise RapportError(f"{source!r} lacks {len(lacking)} weights of a {config.model_type} transcriber, such as {lacking[0]}")
        if self._features.sampling_rate != SAMPLE_RATE_HZ:
            raise RapportError(f"{source!r} hears {self._features.sampling_rate} Hz: wanted a model of {SAMPLE_RATE_HZ} Hz")
        self._model: Any = model.eval().to(self._device)
        self._writes = kind is WhisperForConditionalGeneration
        multilingual = self._writes and getattr(model.generation_config, "is_multilingual", False)
        self._options = {"language": language, "task": "transcribe"} if multilingual else {}

    def transcribe(self, samples: np.ndarray) -> str:
        """The words of 16 kHz speech, float32 [S]; empty when none are heard."""
        return self.transcribe_all([samples])[0]

    def transcribe_all(self, clips: Sequence[np.ndarray]) -> list[str]:
        """The words of each clip of 16 kHz speech, float32 [S], some clips at a time where the model hears all in frames of one length."""
        pieces = [(number, piece) for number, clip in enumerate(clips) for piece in _pieces(clip)]
        at_once = _AT_ONCE if self._writes else 1
        words: list[list[str]] = [[] for _ in clips]
        for first in range(0, len(pieces), at_once):
            batch = pieces[first : first + at_once]
            for (number, _), heard in zip(batch, self._hear([piece for _, piece in batch]), strict=True):
                words[number] += [heard] if heard else []
        return [" ".join(heard) for heard in words]

    @torch.inference_mode()
    def _hear(self, pieces: Sequence[np.ndarray]) -> list[str]:
        padded = [np.pad(piece, (0, max(0, _SHORTEST - len(piece)))) for piece in pieces]
        inputs = self._features(padded, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", return_attention_mask=True).to(self._device)
        tokens = self._model.generate(**inputs, **self._options) if self._writes else self._model(**inputs).logits.argmax(-1)
        return [text.strip() for text in self._tokenizer.batch_decode(tokens, skip_special_tokens=True)]


def _model_class(source: str, config: PretrainedConfig) -> Any:
    if config.model_type == "whisper":
        return WhisperForConditionalGeneration
    if type(config) in MODEL_FOR_CTC_MAPPING:
        return AutoModelForCTC
    raise RapportError(f"{source!r} is a {config.model_type} model: wanted Whisper or one with a CTC head")


def _pieces(samples: np.ndarray) -> Iterator[np.ndarray]:
    """The speech in pieces of at most `MAX_PIECE_S`, cut in the last pause that allows it, else anywhere."""
    longest = round(MAX_PIECE_S * SAMPLE_RATE_HZ)
    if not len(samples) or not samples.any():
        return
    starts = [round(start_s * SAMPLE_RATE_HZ) for start_s, _ in voice_activity(samples)] if len(samples) > longest else []
    position = 0
    while len(samples) - position > longest:
        cut = max((s for s in starts if position < s <= position + longest), default=position + longest)
        yield samples[position:cut]
        position = cut
    yield samples[position:]
