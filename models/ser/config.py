"""Settings of the speech emotion classifier. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from rapport.core.config import Config, Names
from rapport.core.emotions import SER_EMOTIONS, in_vocabulary_order
from rapport.core.errors import RapportError

# Short names, compared without regard to case, of the self-supervised encoders that the literature reports on.
ENCODERS: dict[str, str] = {
    "hubert-base": "facebook/hubert-base-ls960",
    "hubert-large": "facebook/hubert-large-ll60k",
    "wav2vec2-base": "facebook/wav2vec2-base",
    "wav2vec2-large": "facebook/wav2vec2-large-lv60",
    "wavlm-base": "microsoft/wavlm-base",
    "wavlm-base-plus": "microsoft/wavlm-base-plus",
    "wavlm-large": "microsoft/wavlm-large",
}
LOGMEL = "logmel"


class LogMelAugmentConfig(Config):
    """What changes a log-mel picture while training; nothing of this happens in evaluation. Zero switches a step off."""

    warp: float = Field(default=0.18, ge=0, le=0.5)
    """Vocal tract length: filters are moved by a factor exp(U(-warp, warp)), a voice of another size."""
    tempo: float = Field(default=0.2, ge=0, le=0.7)
    """Speaking rate: time is stretched by a factor exp(U(-tempo, tempo)), pitch kept."""
    gain_db: float = Field(default=4.0, ge=0, le=30)
    """Loudness: U(-gain, gain) dB is added to the whole clip."""
    equaliser_db: float = Field(default=0.0, ge=0, le=20)
    """Microphone: standard deviation, in dB, of a random smooth response curve over the bands."""
    noise_p: float = Field(default=0.0, ge=0, le=1)
    """Share of clips that get a stationary noise floor."""
    noise_below_peak_db: tuple[float, float] = (17.0, 43.0)
    """How far the noise floor lies below the loudest band of the clip, drawn uniformly."""
    time_masks: int = Field(default=2, ge=0, le=10)
    """SpecAugment: number of stretches of time set to the mean."""
    time_mask_frames: int = Field(default=25, ge=0)
    """Longest such stretch; never more than a quarter of the clip."""
    band_masks: int = Field(default=2, ge=0, le=10)
    """SpecAugment: number of band ranges set to the mean."""
    band_mask_bands: int = Field(default=10, ge=0)
    """Widest such range."""


class PitchConfig(Config):
    """The pitch-salience picture beside the log-mel picture: one row for each candidate pitch."""

    candidates: int = Field(default=60, ge=0, le=240)
    """Candidate pitches; 0 leaves the picture out."""
    per_octave: int = Field(default=18, ge=6, le=96)
    """Candidates in an octave; 60 at 18 an octave from 65 Hz reach 630 Hz."""
    min_hz: float = Field(default=65.0, ge=30, le=400)
    """The lowest candidate."""
    harmonics: int = Field(default=8, ge=1, le=20)
    """Harmonics that are summed."""
    decay: float = Field(default=0.86, gt=0, le=1)
    """Weight of each harmonic relative to the one below it."""
    width: float = Field(default=1.0, gt=0, le=8)
    """Factor on the number of channels of its convolutions."""


class LogMelConfig(Config):
    """The embedded encoder: log-mel frames and pitch salience, a small convolutional network, a bidirectional GRU; trained from scratch."""

    n_fft: int = Field(default=512, ge=64, le=4096)
    """Points of the Fourier transform."""
    window_samples: int = Field(default=400, ge=32)
    """Length of the Hann window (400 = 25 ms)."""
    hop_samples: int = Field(default=160, ge=16)
    """Distance between frames (160 = 10 ms)."""
    bands: int = Field(default=64, ge=16, le=256)
    """Mel bands; a multiple of 16, because the network halves them four times."""
    min_hz: float = Field(default=40.0, ge=0)
    """Lower edge of the lowest band."""
    max_hz: float = Field(default=8000.0, gt=0, le=8000)
    """Upper edge of the highest band."""
    normalise: Literal["corpus", "clip_level", "clip_bands"] = "corpus"
    """Beyond the training set's mean and deviation: also remove each clip's level, or each clip's mean in every band."""
    pitch: PitchConfig = PitchConfig()
    """The melody of the voice, as a second picture."""
    deltas: bool = False
    """Add the frames' rate of change as a second channel."""
    architecture: Literal["residual", "plain"] = "residual"
    """Convolutions with skip connections (strides), or without (max pooling)."""
    width: float = Field(default=1.0, gt=0, le=8)
    """Factor on the number of channels of every convolution."""
    channel_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of whole feature maps dropped after the later blocks."""
    projection: int = Field(default=128, ge=8)
    """Width of a frame between the convolutions and the GRU."""
    gru_hidden: int = Field(default=128, ge=0)
    """Width of each direction of the GRU; 0 leaves the GRU out."""
    gru_layers: int = Field(default=1, ge=1, le=4)
    """Layers of the GRU."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout before the projection, and between GRU layers."""
    bf16: bool = True
    """Compute the convolutions in bfloat16 while training (faster on a CPU that has it); evaluation is always float32."""
    augment: LogMelAugmentConfig = LogMelAugmentConfig()
    """What changes the picture while training."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bands % 16:
            raise ValueError(f"bands is {self.bands}: wanted a multiple of 16")
        if self.window_samples > self.n_fft:
            raise ValueError(f"window_samples is {self.window_samples}: wanted at most n_fft ({self.n_fft})")
        if self.min_hz >= self.max_hz:
            raise ValueError(f"min_hz is {self.min_hz}: wanted less than max_hz ({self.max_hz})")
        return self


class LoraConfig(Config):
    """Low-rank adapters in the transformer of a pretrained encoder (Hu et al. 2021)."""

    rank: int = Field(default=0, ge=0, le=256)
    """Rank of each adapter; 0 is no adapters."""
    alpha: int = Field(default=16, gt=0)
    """Adapters are scaled by alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout on an adapter's input."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get one; empty takes the query and value projections, or the feed-forward layers of WavLM,
    whose attention reads its weights in a way that adapters cannot reach."""


class EncoderConfig(Config):
    """What turns a waveform into frames."""

    name: str = LOGMEL
    """`logmel` (embedded), a short name such as `hubert-base`, a hub id, or a folder in `transformers` form."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    freeze: bool | None = None
    """Keep the encoder as it is, in evaluation mode. By default a pretrained one is kept and the embedded one trains."""
    unfreeze_last_n_layers: int = Field(default=0, ge=0)
    """Of a frozen encoder, train the last n transformer layers."""
    layer_weights: bool = False
    """Use a learned mixture of all transformer layers instead of the last layer."""
    lora: LoraConfig = LoraConfig()
    """Low-rank adapters; the rest of the encoder stays frozen."""
    normalise: bool | None = None
    """Scale each clip to zero mean and unit variance; by default as the checkpoint's feature extractor says."""
    layer_drop: float = Field(default=0.0, ge=0, lt=1)
    """Chance to skip a transformer layer while a wholly trained encoder trains."""
    mask_time_p: float = Field(default=0.0, ge=0, lt=1)
    """SpecAugment before the transformer, while training: about this share of frames is replaced by the learned mask vector."""
    mask_time_frames: int = Field(default=10, ge=1)
    """Length of each replaced stretch (10 = 200 ms)."""
    logmel: LogMelConfig = LogMelConfig()
    """Settings of the embedded encoder; others do not read them."""

    @property
    def embedded(self) -> bool:
        """Whether this is the log-mel encoder that trains from scratch."""
        return self.name.lower() == LOGMEL

    @property
    def frozen(self) -> bool:
        """Whether the encoder's own weights are kept (but for the last n layers)."""
        return (not self.embedded) if self.freeze is None else self.freeze

    @property
    def source(self) -> str:
        """The hub id or folder that `name` stands for."""
        return ENCODERS.get(self.name.lower(), self.name)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.embedded:
            asked = [n for n in ("unfreeze_last_n_layers", "layer_weights", "mask_time_p", "layer_drop") if getattr(self, n)]
            asked += ["lora.rank"] if self.lora.rank else []
            if asked:
                raise ValueError(f"{', '.join(asked)}: only pretrained encoders have this; set name to one, such as hubert-base")
        elif "/" not in self.source and "\\" not in self.source and not self.source.startswith("."):
            known = ", ".join([LOGMEL, *ENCODERS])
            raise ValueError(f"name is {self.name!r}: wanted one of {known}, a hub id such as facebook/hubert-base-ls960, or a folder")
        if not self.frozen and (self.unfreeze_last_n_layers or self.lora.rank):
            raise ValueError("unfreeze_last_n_layers and lora.rank have no effect on an encoder that trains as a whole: set freeze to true")
        return self


class PoolingConfig(Config):
    """What turns frames into one vector. The defaults are one attention head over the frames."""

    heads: int = Field(default=1, ge=1, le=16)
    """Attention heads; each gives a weighted mean of the frames."""
    deviation: Literal["none", "plain", "weighted"] = "none"
    """Also give the standard deviation of the frames: over all frames alike, or by the mean of the attention weights."""


class HeadConfig(Config):
    """What turns the vector into logits: dropout, linear, GELU, dropout, linear."""

    hidden: int = Field(default=256, ge=0)
    """Width of the hidden layer; 0 is a linear head."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout on the head's input, and in the domain branch."""
    hidden_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the hidden layer."""


class FeatureMaskConfig(Config):
    """Masking of the encoder's output while training: one block of frames and one of channels in every clip of the batch."""

    p: float = Field(default=0.0, ge=0, le=1)
    """Chance that a batch is masked."""
    max_frames: int = Field(default=10, ge=1)
    """Longest block of frames."""
    max_channels: int = Field(default=20, ge=1)
    """Widest block of channels."""


class DomainConfig(Config):
    """A branch that tells corpora apart behind a gradient reversal, so that the encoder unlearns them (Ganin et al. 2016)."""

    domains: int = Field(default=2, ge=2)
    """How many corpora there are to tell apart."""
    grl_lambda: float = Field(default=0.0, ge=0)
    """Strength of the reversed gradient; 0 is no branch."""
    weight: float = Field(default=1.0, ge=0)
    """Weight of the branch's own loss."""
    coupled: bool = False
    """The original's form: grl_lambda is the weight as well, so that it acts twice on the encoder."""

    @property
    def loss_weight(self) -> float:
        """What the branch's loss is multiplied by."""
        return self.grl_lambda if self.coupled else self.weight


class DecodingConfig(Config):
    """What must be done at inference as it was in training; saved with the model."""

    window_s: float = Field(default=3.0, gt=0, le=60)
    """Length of the training window, and so of a window of the timeline."""
    trim_silence: bool = True
    """Cut silence off both ends of a clip first, as the training data was."""
    max_clip_s: float = Field(default=20.0, gt=0)
    """A longer clip is answered as the mean over its windows."""
    warps: tuple[float, ...] = (1.0,)
    """Embedded encoder: average the log-probabilities over these filter scales (1.0 is the plain one)."""
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by this; fit it on validation to calibrate the scores."""


class SerConfig(Config):
    """One speech emotion classifier."""

    emotions: Names = SER_EMOTIONS
    """The emotions it tells apart, in vocabulary order: the order of its logits."""
    encoder: EncoderConfig = EncoderConfig()
    """Waveform to frames."""
    feature_mask: FeatureMaskConfig = FeatureMaskConfig()
    """Masking of frames while training."""
    pooling: PoolingConfig = PoolingConfig()
    """Frames to one vector."""
    head: HeadConfig = HeadConfig()
    """Vector to logits."""
    domain: DomainConfig = DomainConfig()
    """Optional adversarial branch."""
    decoding: DecodingConfig = DecodingConfig()
    """What inference must know."""

    @field_validator("emotions")
    @classmethod
    def _ordered(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            ordered = in_vocabulary_order(value)
        except RapportError as error:
            raise ValueError(str(error)) from error
        if len(ordered) < 2:
            raise ValueError(f"emotions is {value}: wanted at least two")
        return ordered
