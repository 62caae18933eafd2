"""Settings of augmentation on the training path: one block a step, each with its own probability and ranges.

Every step is off until its `p` is above 0. `PRESETS` holds the published recipes of the emotion classifier (G1 to G3) and one that is
meant for microphones, rooms and telephones that the corpora lack.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from rapport.core.config import Config

StepName = Literal[
    "reversal", "speed", "tempo", "pitch", "pad", "reverberation", "noise", "gaussian", "equaliser", "gain", "band_limit", "codec", "window"
]
STEPS: tuple[StepName, ...] = get_args(StepName)
CodecName = Literal["mu_law", "gsm", "mp3", "vorbis"]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} is above the upper bound {bounds[1]}")
    return bounds


def _ordered_factors(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] >= 0.25 or not bounds[1] <= 4:
        raise ValueError(f"{bounds}: factors must lie between 0.25 and 4")
    return _ordered(bounds)


def _ordered_positive(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] < 0:
        raise ValueError(f"{bounds}: wanted numbers from 0 up")
    return _ordered(bounds)


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[tuple[float, float], AfterValidator(_ordered_positive)]
Factors = Annotated[tuple[float, float], AfterValidator(_ordered_factors)]


class StepConfig(Config):
    """What every step has."""

    p: float = Field(default=0.0, ge=0, le=1)
    """Probability that the step changes a clip."""


class ReversalConfig(StepConfig):
    """Play the clip backwards; a probe of robustness rather than a help."""


class SpeedConfig(StepConfig):
    """Resample, which changes tempo and pitch together."""

    factor: Factors = (0.9, 1.1)
    """Above 1 is faster and higher."""


class TempoConfig(StepConfig):
    """Stretch in time, with the pitch kept."""

    rate: Factors = (0.8, 1.25)
    """Above 1 is faster."""
    method: Literal["signalsmith", "phase_vocoder"] = "signalsmith"
    """signalsmith sounds better and is quicker; phase_vocoder is the published form."""
    n_fft: int = Field(default=1024, ge=64)
    """Window of the phase vocoder in samples; its hop is a quarter."""


class PitchConfig(StepConfig):
    """Shift the pitch, with the tempo kept."""

    semitones: Range = (-3.0, 3.0)
    """Shift in semitones."""


class PadConfig(StepConfig):
    """Put silence before and after, so that speech does not always begin at once."""

    silence_s: PositiveRange = (0.0, 0.5)
    """Length of the silence, drawn for each end."""


class ReverberationConfig(StepConfig):
    """Put the clip into a room: a recorded impulse response where there are any, otherwise an exponentially decaying one."""

    recordings: str | None = None
    """Folder of impulse responses, of any rate and number of channels (each channel counts as one); null makes rooms up."""
    rt60_s: PositiveRange = (0.15, 0.8)
    """Time in which a made-up room decays by 60 dB."""
    direct_db: Range = (0.0, 12.0)
    """Level of the direct sound over the reverberation of a made-up room: lower is farther away."""


class NoiseConfig(StepConfig):
    """Add a random stretch of a noise recording."""

    snr_db: Range = (5.0, 20.0)
    """Level of speech over noise."""
    speech_level: Literal["clip", "active"] = "clip"
    """Whether the level of speech is the mean square over the whole clip or over its voiced stretches only."""


class GaussianConfig(StepConfig):
    """Add white noise of a fixed level, whatever the level of the speech."""

    deviation: PositiveRange = (0.005, 0.005)
    """Standard deviation, full scale being 1."""


class EqualiserConfig(StepConfig):
    """Colour the sound as another microphone would: a smooth curve through a random gain an octave."""

    gain_db: Range = (-6.0, 6.0)
    """Gain of each octave."""


class GainConfig(StepConfig):
    """Make the clip louder or softer."""

    gain_db: Range = (-6.0, 6.0)
    """Change of level."""
    clip: bool = False
    """Cut at full scale, as an overdriven input does."""


class BandLimitConfig(StepConfig):
    """Remove what a small loudspeaker or a telephone does not pass."""

    low_hz: PositiveRange = (50.0, 400.0)
    """Lower edge."""
    high_hz: PositiveRange = (2800.0, 7000.0)
    """Upper edge."""

    @model_validator(mode="after")
    def _inside(self) -> "BandLimitConfig":
        if not 0 < self.low_hz[0] <= self.low_hz[1] < self.high_hz[0] <= self.high_hz[1] < 8000:
            raise ValueError(f"low_hz {self.low_hz} and high_hz {self.high_hz} must lie in this order between 0 and 8000 Hz")
        return self


class CodecConfig(StepConfig):
    """Encode and decode, as a telephone or a file for sending does."""

    names: tuple[CodecName, ...] = Field(default=("mu_law", "gsm", "mp3", "vorbis"), min_length=1)
    """Codecs to choose from: mu_law and gsm work at 8 kHz."""
    compression: Annotated[tuple[float, float], AfterValidator(_ordered_positive)] = (0.2, 0.95)
    """How hard mp3 and vorbis compress, from 0 (best) to 1 (smallest)."""

    @model_validator(mode="after")
    def _share(self) -> "CodecConfig":
        if self.compression[1] > 1:
            raise ValueError(f"compression {self.compression} must lie between 0 and 1")
        return self


class WindowConfig(StepConfig):
    """Keep a stretch of random length and position; a clip that is shorter is kept whole."""

    length_s: PositiveRange = (2.0, 2.0)
    """Length of the stretch."""

    @model_validator(mode="after")
    def _some(self) -> "WindowConfig":
        if self.length_s[0] <= 0:
            raise ValueError(f"length_s {self.length_s} must be above 0")
        return self


class AugmentConfig(Config):
    """Changes of the waveform while training. Validation and test are never changed."""

    order: tuple[StepName, ...] = STEPS
    """Order of the steps: by default the voice, its room, the microphone, the channel, and the window that the model sees."""
    reversal: ReversalConfig = ReversalConfig()
    """Playing backwards."""
    speed: SpeedConfig = SpeedConfig()
    """Tempo and pitch together."""
    tempo: TempoConfig = TempoConfig()
    """Tempo alone."""
    pitch: PitchConfig = PitchConfig()
    """Pitch alone."""
    pad: PadConfig = PadConfig()
    """Silence around the speech."""
    reverberation: ReverberationConfig = ReverberationConfig()
    """A room."""
    noise: NoiseConfig = NoiseConfig()
    """Recorded noise."""
    gaussian: GaussianConfig = GaussianConfig()
    """White noise."""
    equaliser: EqualiserConfig = EqualiserConfig()
    """Another microphone."""
    gain: GainConfig = GainConfig()
    """Another level."""
    band_limit: BandLimitConfig = BandLimitConfig()
    """A narrow channel."""
    codec: CodecConfig = CodecConfig()
    """A lossy channel."""
    window: WindowConfig = WindowConfig()
    """A stretch of the clip."""

    @model_validator(mode="after")
    def _every_step_has_a_place(self) -> "AugmentConfig":
        if twice := sorted({name for name in self.order if self.order.count(name) > 1}):
            raise ValueError(f"order names {', '.join(twice)} more than once")
        if lost := [name for name in STEPS if self.step(name).p > 0 and name not in self.order]:
            raise ValueError(f"{', '.join(lost)} has p above 0 but no place in order")
        return self

    def step(self, name: StepName) -> StepConfig:
        """The settings of one step."""
        return getattr(self, name)

    @property
    def active(self) -> tuple[StepName, ...]:
        """The steps that are switched on, in order."""
        return tuple(name for name in self.order if self.step(name).p > 0)


# The published recipes keep their own order: the mixture of speech and noise is stretched.
_PUBLISHED_ORDER: tuple[StepName, ...] = ("gaussian", "reversal", "gain", "pitch", "noise", "tempo", "window")

PRESETS: Mapping[str, AugmentConfig] = {
    "none": AugmentConfig(),
    "G1": AugmentConfig(
        order=_PUBLISHED_ORDER,
        gaussian=GaussianConfig(p=1.0),
        gain=GainConfig(p=0.5, clip=True),
        pitch=PitchConfig(p=0.5, semitones=(-4.0, 4.0)),
        noise=NoiseConfig(p=0.3),
        tempo=TempoConfig(p=0.5, rate=(0.8, 1.2), method="phase_vocoder", n_fft=2048),
    ),
    "G2": AugmentConfig(
        order=_PUBLISHED_ORDER,
        gain=GainConfig(p=0.5, clip=True),
        noise=NoiseConfig(p=0.3),
        tempo=TempoConfig(p=0.3, rate=(0.8, 1.2), method="phase_vocoder", n_fft=1024),
    ),
    "G3": AugmentConfig(
        order=_PUBLISHED_ORDER,
        reversal=ReversalConfig(p=0.5),
        gain=GainConfig(p=0.5, clip=True),
        noise=NoiseConfig(p=0.6),
        tempo=TempoConfig(p=0.6, rate=(0.6, 1.5), method="phase_vocoder", n_fft=1024),
        window=WindowConfig(p=1.0),
    ),
    "robust": AugmentConfig(
        speed=SpeedConfig(p=0.5),
        pad=PadConfig(p=0.3),
        reverberation=ReverberationConfig(p=0.3),
        noise=NoiseConfig(p=0.5),
        equaliser=EqualiserConfig(p=0.4),
        gain=GainConfig(p=0.5),
        band_limit=BandLimitConfig(p=0.1),
        codec=CodecConfig(p=0.2),
    ),
}
