"""Front ends that need the whole recording: published MFCC, eGeMAPS, and pretrained speech encoders.

They give one row for each frame of the motion's clock, so that a pose and its features belong to one time; the published code drops rows
from both ends instead, by which the two drift apart wherever their rates differ. Axes: S samples at 16 kHz, T frames, D width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_count, frame_ends
from rapport.core.speech import FrameEncoder
from rapport.models.listener.config import FrontEndConfig, SslConfig
from rapport.models.listener.front_end import FeatureStream, Floats, FrontEnd

FORMAT = 1

_MFCC, _MFCC_WINDOW = 28, 1024  # published: as many coefficients as mel bands, 64 ms
_MFCC_RANGE_DB = 80.0
_SSL_WINDOW_S, _SSL_HOP_S = 0.025, 0.02
_SHORTEST = SAMPLE_RATE_HZ // 1000 * 60  # samples; openSMILE finds no frame of its longest window in less


def load_offline(config: FrontEndConfig) -> FrontEnd:
    """The front end that the settings name."""
    kinds: Mapping[str, Callable[[FrontEndConfig], FrontEnd]] = {"mfcc": PublishedMfcc, "egemaps": EgemapsWindows, "ssl": EncoderRows}
    return kinds[config.kind](config)


class _Offline:
    """What the front ends for finished recordings share."""

    def __init__(self, config: FrontEndConfig) -> None:
        self.kind, self.frame_rate_hz = config.kind, config.frame_rate_hz

    def stream(self) -> FeatureStream:
        """Raises RapportError."""
        raise RapportError(f"front_end.kind {self.kind} needs the whole recording: set front_end.kind to causal to stream")

    def _finite(self, samples: npt.NDArray[np.floating]) -> Floats:
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise RapportError(f"samples are {samples.dtype} {list(samples.shape)}: wanted floating point [S] at 16 kHz, one channel")
        return np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)

    def _ends(self, samples: Floats) -> npt.NDArray[np.int64]:
        """[T] where the frames of a recording end."""
        return frame_ends(0, frame_count(len(samples), self.frame_rate_hz), self.frame_rate_hz)


class PublishedMfcc(_Offline):
    """28 MFCC of the 64 ms before each frame, in dB above a floor 80 dB under the recording's loudest band, as published.

    The published hop is 533 samples, of which 30 make a second and a third of a millisecond; here it is the clock's.
    """

    width = _MFCC

    def __init__(self, config: FrontEndConfig) -> None:
        from torchaudio import functional

        super().__init__(config)
        bins = _MFCC_WINDOW // 2 + 1
        filters = functional.melscale_fbanks(bins, 0.0, SAMPLE_RATE_HZ / 2, _MFCC, SAMPLE_RATE_HZ, mel_scale="htk")
        self._mels: Floats = filters.numpy()
        self._cosines: Floats = functional.create_dct(_MFCC, _MFCC, norm="ortho").numpy()
        self._shape = np.hanning(_MFCC_WINDOW + 1)[:-1].astype(np.float32)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, version and rate; there are no settings."""
        return {"kind": self.kind, "format": FORMAT, "frame_rate_hz": self.frame_rate_hz}

    def features(self, samples: npt.NDArray[np.floating]) -> Floats:
        """[T, 28] of a recording [S]."""
        samples = self._finite(samples)
        ends = self._ends(samples)
        if not len(ends):
            return np.zeros((0, self.width), np.float32)
        padded = np.pad(samples, (_MFCC_WINDOW, 0))
        power = np.concatenate([self._power(padded, part) for part in np.array_split(ends, -(-len(ends) // 256))])
        level_db = 10 * np.log10(np.maximum(power @ self._mels, np.float32(1e-10)))
        rows: Floats = np.maximum(level_db, level_db.max() - np.float32(_MFCC_RANGE_DB)) @ self._cosines
        return rows

    def _power(self, padded: Floats, ends: npt.NDArray[np.int64]) -> Floats:
        windows = np.lib.stride_tricks.sliding_window_view(padded, _MFCC_WINDOW)[ends]
        spectrum = np.fft.rfft(windows * self._shape)
        power: Floats = np.square(spectrum.real) + np.square(spectrum.imag)
        return power


class EgemapsWindows(_Offline):
    """The 88 functionals of eGeMAPS over a window at each frame; what openSMILE cannot tell of a window is 0, as published."""

    width = 88

    def __init__(self, config: FrontEndConfig) -> None:
        import opensmile

        super().__init__(config)
        self.config = config.egemaps
        self._window = round(config.egemaps.window_s * SAMPLE_RATE_HZ)
        self._smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
        self._version = opensmile.__version__

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, version, settings, and the version of openSMILE."""
        settings = {**self.config.model_dump(mode="json"), "opensmile": self._version}
        return {"kind": self.kind, "format": FORMAT, "frame_rate_hz": self.frame_rate_hz, **settings}

    def features(self, samples: npt.NDArray[np.floating]) -> Floats:
        """[T, 88] of a recording [S]; about 100 rows a second are made."""
        samples = self._finite(samples)
        rows = [self._smile.process_signal(window, SAMPLE_RATE_HZ).to_numpy(np.float32)[0] for window in self._windows(samples)]
        return np.nan_to_num(np.array(rows, np.float32).reshape(-1, self.width), nan=0.0, posinf=0.0, neginf=0.0)

    def _windows(self, samples: Floats) -> Iterator[Floats]:
        """The window at each frame: shorter at the edge of the recording that it would reach beyond, but long enough to be analysed."""
        for end in self._ends(samples).tolist():
            past = self.config.window == "past"
            window = samples[max(0, end - self._window) : end] if past else samples[end : end + self._window]
            lacking = max(0, _SHORTEST - len(window))
            yield np.pad(window, (lacking, 0) if past else (0, lacking))


class EncoderRows(_Offline):
    """For each frame the last frame of a pretrained encoder that ends by then; the encoder itself hears the whole recording."""

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__(config)
        self._encode = _load_encoder(config.ssl)
        self.width: int = self._encode.width

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, version, rate, and the encoder's own identity, wherever its weights lie."""
        return {"kind": self.kind, "format": FORMAT, "frame_rate_hz": self.frame_rate_hz, "encoder": dict(self._encode.provenance)}

    def features(self, samples: npt.NDArray[np.floating]) -> Floats:
        """[T, D] of a recording [S]."""
        samples = self._finite(samples)
        ends = self._ends(samples)
        if not len(ends):
            return np.zeros((0, self.width), np.float32)
        (frames,) = self._encode.encode([samples])
        window, hop = round(_SSL_WINDOW_S * SAMPLE_RATE_HZ), round(_SSL_HOP_S * SAMPLE_RATE_HZ)
        rows: Floats = frames[((ends - window) // hop).clip(0, len(frames) - 1)]
        return rows


class _Convolutions:
    """The normalised output of an encoder's convolutions, before the transformer: a `FrameEncoder`, one clip at a time."""

    def __init__(self, config: SslConfig) -> None:
        import torch

        from rapport.models.backends.frames.transformer import TransformerEncoder
        from rapport.models.ser.config import EncoderConfig
        from rapport.models.ser.encoders import load_pretrained

        encoder = load_pretrained(EncoderConfig(name=config.source, revision=config.revision))
        norm = getattr(encoder.backbone.feature_projection, "layer_norm", None)
        if norm is None:
            raise RapportError(f"ssl.source {config.source} does not normalise its convolutions: set ssl.layer to 0 or more")
        self.width = int(norm.normalized_shape[0])
        # Its layers run too, all but the first of which are dropped: how a clip is padded and scaled is known there.
        self._base = TransformerEncoder(encoder, 0, 1, "cuda" if torch.cuda.is_available() else "cpu")
        self.hop_s = self._base.hop_s
        self.provenance = {**self._base.provenance, "layer": "convolutions"}
        self._seen: Any = None
        norm.register_forward_hook(self._keep)

    def encode(self, clips: Sequence[npt.NDArray[np.floating]]) -> list[Floats]:
        """Frames [T, D] of each clip [S] at 16 kHz."""
        found = []
        for clip in clips:
            self._base.encode([clip])
            found.append(self._seen[0].float().cpu().numpy())
        return found

    def _keep(self, norm: object, inputs: object, output: Any) -> None:
        self._seen = output


def _load_encoder(config: SslConfig) -> FrameEncoder:
    if config.layer < 0:
        return _Convolutions(config)
    from rapport.models.backends.frames.transformer import load
    from rapport.models.units.config import FrameConfig, TransformerConfig

    return load(FrameConfig(transformer=TransformerConfig(source=config.source, revision=config.revision, layer=config.layer)))
