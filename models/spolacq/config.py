"""Settings of an agent's body. Imports no torch, so that a job's `--help` stays quick.

`BodyConfig()` is the embedded body, which learns and speaks on one core; `published_body()` has the kinds and sizes of the published one.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config


class EyesConfig(Config):
    """What turns a picture into a feature; it is frozen."""

    kind: Literal["embedded", "dino"] = "embedded"
    """`embedded` measures colours and edges, nothing learned; `dino` is a vision transformer's class token."""
    source: str = "facebook/dino-vitb8"
    """dino: hub id, or a folder saved with save_pretrained."""
    revision: str | None = None
    """dino: commit or branch on the hub."""
    size: int = Field(default=224, ge=16, le=1024)
    """dino: pictures are scaled to this many pixels a side."""
    batch_size: int = Field(default=32, ge=1)
    """dino: pictures that the network takes at once."""


class HearingConfig(Config):
    """What turns speech into units."""

    kind: Literal["embedded", "s5hubert"] = "embedded"
    """`embedded` has a codebook of short stretches of mel spectrum; `s5hubert` has syllables of a pretrained encoder."""
    bands: int = Field(default=64, ge=32, le=96)
    """embedded: mel bands up to 8 kHz."""
    stacked_frames: int = Field(default=4, ge=1, le=10)
    """embedded: spectra of 10 ms in a unit. Units are not merged, so that their number tells the time: 4 make 25 units a second."""
    clusters: int = Field(default=512, ge=2, le=65_536)
    """embedded: units of the codebook, or as many as there are distinct stretches."""
    passes: int = Field(default=20, ge=1)
    """embedded: most passes of k-means over the speech."""
    max_stretches: int = Field(default=50_000, ge=100)
    """embedded: the codebook is fitted on so many stretches, drawn at random where there are more."""
    source: str = "ryota-komatsu/s5-hubert"
    """s5hubert: hub id, or a folder of config.json and model.safetensors."""
    revision: str | None = None
    """s5hubert: commit or branch on the hub."""


class ImageToUnitsConfig(Config):
    """The conditional autoencoder that says what is seen; the defaults are the published sizes."""

    width: int = Field(default=768, ge=8, le=4096)
    """Width of both transformers."""
    layers: int = Field(default=6, ge=1, le=24)
    """Layers of the encoder of sentences, and of the decoder."""
    heads: int = Field(default=8, ge=1, le=64)
    """Heads of every attention; they share the width evenly."""
    hidden: int = Field(default=3072, ge=8)
    """Width within a feed-forward layer."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of values that are zeroed in training; never in speaking."""
    sentence_width: int = Field(default=8, ge=1, le=256)
    """Z, the numbers that tell how a thing is said."""
    deviation: float = Field(default=0.1, ge=0, le=2)
    """Deviation of the noise on a sentence embedding in training."""
    kl_weight: float = Field(default=0.01, ge=0)
    """Weight of the divergence of sentence embeddings from a standard normal distribution; with more of it they tell less of the thing."""
    standardise: bool = False
    """Whether features are scaled by mean and deviation of the training pictures."""
    max_units: int = Field(default=100, ge=1, le=2000)
    """Units in the longest caption."""
    min_count: int = Field(default=1, ge=0)
    """Units that the training captions have no more often than this are unknown, and never spoken."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width is {self.width}: wanted an even multiple of heads ({self.heads})")
        return self


def small_image_to_units() -> ImageToUnitsConfig:
    """Sizes that learn a handful of things in a minute on one core.

    Wider noise than the published makes neighbouring embeddings say the same, and keeps what is seen out of them.
    """
    return ImageToUnitsConfig(width=128, layers=2, heads=4, hidden=256, deviation=0.5, kl_weight=0.2, standardise=True, min_count=0)


class BeamConfig(Config):
    """How units are searched for."""

    width: int = Field(default=4, ge=1, le=512)
    """Hypotheses that are followed; 50 as published. A small vocabulary has fewer at first."""
    exact: bool = True
    """Whether sums are in double precision, so that a sentence does not depend on the rows beside it by a hair's breadth."""


class TacotronConfig(Config):
    """Tacotron 2 over units; the defaults are the published sizes."""

    symbols: int = Field(default=16_384, ge=2)
    """Units that have an embedding; a unit's number is its row."""
    embedding: int = Field(default=512, ge=2)
    """Width of the encoder, half of it for each direction."""
    encoder_layers: int = Field(default=1, ge=1, le=5)
    """Convolutions of the encoder; the original has 3."""
    encoder_kernel: int = Field(default=5, ge=1)
    """Taps of each of them."""
    decoder: int = Field(default=1024, ge=2)
    """Width of the decoder's and of the attention's recurrent layer."""
    prenet: int = Field(default=256, ge=2)
    """Width of the two layers before the decoder."""
    attention: int = Field(default=128, ge=2)
    """Width of the attention's comparison."""
    location_filters: int = Field(default=32, ge=1)
    """Filters over what was attended to so far."""
    location_kernel: int = Field(default=31, ge=1)
    """Taps of each of them."""
    postnet: int = Field(default=512, ge=2)
    """Channels of the five convolutions that refine the spectrum."""
    postnet_layers: int = Field(default=5, ge=2)
    """How many there are."""
    postnet_kernel: int = Field(default=5, ge=1)
    """Taps of each of them."""
    stop: float = Field(default=0.5, gt=0, lt=1)
    """Speech ends where the stop gate says so with at least this probability."""
    max_frames: int = Field(default=1000, ge=1)
    """Most frames of 11.6 ms."""
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of the attention's recurrent layer in training."""
    decoder_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of the decoder's recurrent layer in training."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.embedding % 2:
            raise ValueError(f"embedding is {self.embedding}: wanted an even number, half of it for each direction")
        for name in ("encoder_kernel", "location_kernel", "postnet_kernel"):
            if not getattr(self, name) % 2:
                raise ValueError(f"{name} is {getattr(self, name)}: wanted an odd number of taps")
        return self


class HifiGanConfig(Config):
    """The generator of HiFi-GAN; the defaults are V1."""

    channels: int = Field(default=512, ge=8)
    """Channels before the first upsampling, halved by each."""
    rates: tuple[int, ...] = (8, 8, 2, 2)
    """Factors of upsampling; their product is the samples in a frame."""
    kernels: tuple[int, ...] = (16, 16, 4, 4)
    """Taps of each upsampling."""
    residual_kernels: tuple[int, ...] = (3, 7, 11)
    """Taps of the residual blocks that are averaged after each upsampling."""
    residual_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    """Their dilations."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.rates) != len(self.kernels) or not self.rates:
            raise ValueError(f"rates has {len(self.rates)} entries and kernels {len(self.kernels)}: wanted as many, and at least one")
        if any((kernel - rate) % 2 or kernel < rate for rate, kernel in zip(self.rates, self.kernels, strict=True)):
            raise ValueError(f"kernels are {self.kernels}: each is to exceed its rate ({self.rates}) by an even number")
        if len(self.residual_kernels) != len(self.residual_dilations):
            raise ValueError("residual_kernels and residual_dilations are to have as many entries as each other")
        if self.channels % 2 ** len(self.rates):
            raise ValueError(f"channels is {self.channels}: it is to be halved {len(self.rates)} times")
        return self


class VoiceConfig(Config):
    """What speaks units."""

    kind: Literal["embedded", "tacotron"] = "embedded"
    """`embedded` gives the codebook's spectra a phase; `tacotron` is Tacotron 2 with HiFi-GAN."""
    iterations: int = Field(default=12, ge=1, le=200)
    """embedded: rounds of Griffin-Lim."""
    tacotron: TacotronConfig = TacotronConfig()
    """tacotron: from units to spectra."""
    hifigan: HifiGanConfig = HifiGanConfig()
    """tacotron: from spectra to sound."""
    tacotron_source: str = ""
    """tacotron: safetensors of weights to begin with, a file or a folder; empty trains from scratch. A saved body holds its own."""
    hifigan_source: str = ""
    """tacotron: safetensors of the vocoder's weights, a file or a folder. A saved body holds its own."""
    remembered: int = Field(default=1024, ge=0)
    """Utterances kept, by their units, to be given again; 0 keeps none."""


class BodyConfig(Config):
    """A body: eyes, a mouth, and the ears it learned with."""

    eyes: EyesConfig = EyesConfig()
    """From pictures to features."""
    hearing: HearingConfig = HearingConfig()
    """From speech to units."""
    image_to_units: ImageToUnitsConfig = Field(default_factory=small_image_to_units)
    """From features to units."""
    beam: BeamConfig = BeamConfig()
    """The search for units."""
    voice: VoiceConfig = VoiceConfig()
    """From units to speech."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.voice.kind == "embedded" and self.hearing.kind != "embedded":
            raise ValueError(
                f"voice.kind embedded speaks the embedded codebook only: set hearing.kind to embedded (it is {self.hearing.kind})"
            )
        if self.voice.kind == "tacotron" and self.hearing.kind == "embedded" and self.hearing.clusters > self.voice.tacotron.symbols:
            raise ValueError(f"hearing.clusters is {self.hearing.clusters}: raise voice.tacotron.symbols ({self.voice.tacotron.symbols})")
        return self


def published_body() -> BodyConfig:
    """The published agent: DINO ViT-B/8, syllables of S5-HuBERT, six layers, a beam of 50, Tacotron 2 and HiFi-GAN V1."""
    return BodyConfig(
        eyes=EyesConfig(kind="dino"),
        hearing=HearingConfig(kind="s5hubert"),
        image_to_units=ImageToUnitsConfig(),
        beam=BeamConfig(width=50, exact=False),
        voice=VoiceConfig(kind="tacotron"),
    )
