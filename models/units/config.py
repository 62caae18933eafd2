"""Settings of frames and of the codebook over them. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal

from pydantic import Field

from rapport.core.config import Config

UnitMode = Literal["merged", "downsample", "raw"]
"""How frame ids become a sequence: each run as one, every n-th, or all."""


class CepstraConfig(Config):
    """The embedded encoder: mel cepstra and prosody, nothing learned."""

    bands: int = Field(default=40, ge=16, le=80)
    """Mel bands, 60 Hz to 7.6 kHz."""
    coefficients: int = Field(default=12, ge=4, le=24)
    """Cepstral coefficients, counted without the zeroth; their differences come beside them."""
    mean_normalised: bool = True
    """Whether the mean of a clip is taken off its cepstra, which hides voice and microphone from the units."""
    prosody_weight: float = Field(default=0.6, gt=0, le=2)
    """Spread of pitch, voicing, level and tilt against that of a cepstrum: lower, so that units follow the sounds."""


class TransformerConfig(Config):
    """A pretrained encoder: HuBERT, wav2vec 2.0 or WavLM."""

    source: str = "patrickvonplaten/wavlm-libri-clean-100h-large"
    """Hub id, or a folder saved with save_pretrained."""
    revision: str | None = None
    """Commit or branch on the hub; pin a commit to get the same frames next year."""
    layer: int = Field(default=6, ge=0)
    """Which layer's output is taken, before any final normalisation: 0 is the input of the first."""
    normalise: bool | None = None
    """Whether clips are scaled to unit variance; read from the checkpoint's preprocessor_config.json unless set."""


class EgemapsConfig(Config):
    """eGeMAPS v02."""

    level: Literal["functionals", "descriptors"] = "functionals"
    """88 functionals of a whole clip, or 25 descriptors every 10 ms."""


class LogMelFramesConfig(Config):
    """Log-mel spectra every 10 ms."""

    bands: int = Field(default=80, ge=16, le=80)
    """Mel bands, 60 Hz to 7.6 kHz."""


class FrameConfig(Config):
    """Which encoder makes frames of speech."""

    backend: str = "cepstra"
    """A file of models/backends/frames: cepstra, transformer, egemaps or logmel."""
    cepstra: CepstraConfig = CepstraConfig()
    """Settings of cepstra."""
    transformer: TransformerConfig = TransformerConfig()
    """Settings of transformer."""
    egemaps: EgemapsConfig = EgemapsConfig()
    """Settings of egemaps."""
    logmel: LogMelFramesConfig = LogMelFramesConfig()
    """Settings of logmel."""
    batch_s: float = Field(default=120.0, gt=0)
    """Seconds of speech, padding included, that a network takes at once."""
    device: str = "auto"
    """A torch device, or auto for a GPU where there is one."""


class KMeansConfig(Config):
    """How a codebook is fitted."""

    clusters: int = Field(default=200, ge=2, le=1_000_000)
    """K, the number of units."""
    max_speech_s: float = Field(default=20_000.0, gt=0)
    """Seconds of speech, drawn at random from the corpora, whose frames are fitted."""
    start_frames: int = Field(default=20_000, ge=2)
    """Frames, drawn at random, on which k-means++ chooses its start."""
    mini_batch_passes: int = Field(default=2, ge=0)
    """Passes in which centroids move after every few shards, on their way to where full passes begin."""
    full_passes: int = Field(default=20, ge=0)
    """Most passes in which centroids move once, to the mean of all their frames."""
    tolerance: float = Field(default=1e-3, ge=0)
    """Full passes end when one lowers the squared distance by less than this share."""
