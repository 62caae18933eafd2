"""Settings of the listener's head motion. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rapport.core.config import Config

PoseKind = Literal["relative", "absolute"]
"""What the angles are counted from: the middle of the listener's own motion in the turn, or the capture's own zero."""


class CausalConfig(Config):
    """What is heard in the last 64 ms: a spectrum, and the voice's pitch, voicing, level and activity."""

    bands: int = Field(default=28, ge=8, le=64)
    """Mel bands, 60 Hz to 7.6 kHz."""
    spectrum: Literal["logmel", "mfcc"] = "logmel"
    """Logarithms of the bands, or their cosine transform."""


class EgemapsConfig(Config):
    """The 88 functionals of eGeMAPS v02 over a window at every frame; for finished recordings only."""

    window: Literal["past", "future"] = "past"
    """Whether the window ends at the frame, or begins there as in the published code, which hears that much of the future."""
    window_s: float = Field(default=0.64, ge=0.06, le=10)
    """Length of the window; the published code has 0.64 for its graph network and 0.064 for its LSTM."""


class SslConfig(Config):
    """Frames of a pretrained speech encoder, which hears the whole turn; for finished recordings only."""

    source: str = "facebook/wav2vec2-base-960h"
    """Hub id, or a folder saved with save_pretrained."""
    revision: str | None = None
    """Commit or branch on the hub."""
    layer: int = Field(default=-1, ge=-1)
    """Which transformer layer's output is taken, 0 being the input of the first; -1 takes that of the convolutions, as published."""


class FrontEndConfig(Config):
    """What the listener hears: one row of features for each frame of motion."""

    kind: Literal["causal", "mfcc", "egemaps", "ssl"] = "causal"
    """`causal` streams; `mfcc` (28 coefficients, as published), `egemaps` and `ssl` need the whole recording."""
    frame_rate_hz: int = Field(default=30, ge=25, le=60)
    """Poses in a second; frame k tells the pose at (k + 1) / frame_rate_hz seconds."""
    causal: CausalConfig = CausalConfig()
    """Settings of causal."""
    egemaps: EgemapsConfig = EgemapsConfig()
    """Settings of egemaps."""
    ssl: SslConfig = SslConfig()
    """Settings of ssl."""


class TcnConfig(Config):
    """Dilated causal convolutions, one in each residual block."""

    width: int = Field(default=128, ge=4, le=1024)
    """Channels of every block."""
    kernel: int = Field(default=3, ge=2, le=9)
    """Taps of every convolution."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Frames between the taps, a block each: kernel 3 and 1 to 64 remember 255 frames, which is 8.5 s at 30 Hz."""
    look_ahead_frames: int = Field(default=0, ge=0, le=60)
    """Frames of the future that a pose may depend on: each delays the motion by one frame."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of a block's output that is zeroed in training."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.dilations or min(self.dilations) < 1 or max(self.dilations) > 4096:
            raise ValueError(f"dilations are {self.dilations}: wanted one or more, each from 1 to 4096")
        return self


class FaithfulConfig(Config):
    """The published graph network, as its code computes it."""

    connect_dense: bool = False
    """Whether the generator's three dense layers, which the published code computes and then ignores, are put to use."""


class LstmConfig(Config):
    """A recurrent network with a linear head."""

    width: int = Field(default=256, ge=4, le=2048)
    """Width of each layer."""
    layers: int = Field(default=2, ge=1, le=6)
    """Layers."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout between layers, in training."""


class NetworkConfig(Config):
    """What turns features into motion."""

    kind: Literal["tcn", "faithful", "lstm", "lstm_linear"] = "tcn"
    """`tcn` and `lstm_linear` stream; `faithful` and `lstm` are the published network and its baseline."""
    tcn: TcnConfig = TcnConfig()
    """Settings of tcn."""
    faithful: FaithfulConfig = FaithfulConfig()
    """Settings of faithful."""
    lstm_linear: LstmConfig = LstmConfig()
    """Settings of lstm_linear; those of the published lstm are fixed."""

    @property
    def gives_angles(self) -> bool:
        """Whether the network ends in three angles and has no head of ours."""
        return self.kind in ("faithful", "lstm")

    @property
    def look_ahead_frames(self) -> int:
        """Frames by which a stream lags behind the speech. The published networks, which do not stream, are not asked."""
        return self.tcn.look_ahead_frames if self.kind == "tcn" else 0


class HeadConfig(Config):
    """What is told of each angle."""

    kind: Literal["point", "gaussian"] = "gaussian"
    """One value, or mean and deviation of a normal distribution from which motion can be drawn."""
    temperature: float = Field(default=1.0, ge=0, le=4)
    """Factor on the deviation when motion is drawn; 0 draws the mean."""


class SmoothingConfig(Config):
    """The filter over the motion: causal, and so paid for in latency."""

    kind: Literal["none", "ema", "one_euro"] = "one_euro"
    """Nothing, an exponential mean, or the one-euro filter (Casiez et al. 2012), which lets fast motion through sooner."""
    ema_s: float = Field(default=0.05, gt=0, le=5)
    """Time constant of ema, seconds."""
    min_cutoff_hz: float = Field(default=4.0, gt=0, le=30)
    """one_euro: cut-off while the head rests. Nods reach 6.5 Hz."""
    beta: float = Field(default=0.1, ge=0, le=10)
    """one_euro: by how many Hz the cut-off rises with each degree per second."""
    speed_cutoff_hz: float = Field(default=1.0, gt=0, le=30)
    """one_euro: cut-off of the speed estimate itself."""


class LimitsConfig(Config):
    """What a neck, or a robot's, can do; the last step, so that nothing that is sent lies beyond."""

    angles_deg: tuple[float, float, float] = (50.0, 60.0, 80.0)
    """Largest roll, pitch and yaw to either side."""
    speed_deg_s: float = Field(default=300.0, gt=0, le=10_000)
    """Largest change of each angle."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not all(0 < angle <= 180 for angle in self.angles_deg):
            raise ValueError(f"angles_deg is {self.angles_deg}: wanted three angles above 0, at most 180")
        return self


class IdleConfig(Config):
    """What the head does when no audio arrives."""

    hold_s: float = Field(default=0.5, ge=0, le=60)
    """How long the last pose is held."""
    decay_s: float = Field(default=1.0, gt=0, le=60)
    """Time constant of the way to the resting pose after that."""
    forget_s: float = Field(default=10.0, ge=1, le=600)
    """After a longer gap the stream begins afresh, as if nothing had been heard."""


class ListenerConfig(Config):
    """A model of a listener's head motion, from speech to poses."""

    front_end: FrontEndConfig = FrontEndConfig()
    """What is heard."""
    network: NetworkConfig = NetworkConfig()
    """What moves the head."""
    head: HeadConfig = HeadConfig()
    """What is told of each angle."""
    normalise: bool = True
    """Whether features and poses are scaled by mean and deviation of the training set; the published code does not."""
    pose: PoseKind = "relative"
    """`relative` to the middle of the listener's motion in the turn, which the voice can tell, or `absolute`."""
    smoothing: SmoothingConfig = SmoothingConfig()
    """The filter over the motion."""
    limits: LimitsConfig = LimitsConfig()
    """Angle and speed limits."""
    idle: IdleConfig = IdleConfig()
    """What happens without audio."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.network.gives_angles and self.head.kind != "point":
            raise ValueError(f"network.kind {self.network.kind} ends in three angles: set head.kind to point (it is {self.head.kind})")
        return self

    @property
    def streams(self) -> bool:
        """Whether the model can follow speech as it is spoken."""
        return self.front_end.kind == "causal" and not self.network.gives_angles

    @property
    def latency_s(self) -> float:
        """By how much the motion lags behind the speech by design: the look-ahead and the filter's delay, in seconds."""
        from rapport.models.listener.smoothing import latency_s

        rate_hz = self.front_end.frame_rate_hz
        return self.network.look_ahead_frames / rate_hz + latency_s(self.smoothing, rate_hz)
