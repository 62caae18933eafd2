"""Settings of the speech language model. Imports no torch, so that a job's `--help` stays quick."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from rapport.core.config import Config, Names
from rapport.core.emotions import check_emotion
from rapport.core.errors import RapportError
from rapport.models.backends.llm.config import EMBEDDED, EmbeddedLlamaConfig, SamplingConfig
from rapport.models.emosds.answer import EMOTIONS
from rapport.models.ser.config import LoraConfig
from rapport.models.units.config import UnitMode


class InjectionConfig(Config):
    """How residual vectors become rows of the input."""

    kind: Literal["tile", "linear", "strided"] = "tile"
    """`tile` repeats a frame along the width (published); `linear` learns a projection; `strided` pools groups of frames and projects."""
    stride: int = Field(default=4, ge=1)
    """Frames in a group; `strided` only."""
    pooling: Literal["mean", "concat"] = "mean"
    """Mean of a group, or its frames side by side; `strided` only."""

    def slots(self, frames: int) -> int:
        """How many rows of the input that many frames take."""
        return -(-frames // self.stride) if self.kind == "strided" else frames


class TrainableConfig(Config):
    """Which weights a stage trains. The projection of residuals trains whenever the stage uses residuals."""

    layers: Literal["all"] | tuple[int, ...] = "all"
    """Decoder layers, counted from 0; `all` includes the final norm."""
    embeddings: bool = True
    """The embedding matrix, and the output matrix when it is another one."""
    lora: LoraConfig = LoraConfig()
    """Low-rank adapters (rank above 0): they train, and of the rest only the embeddings if asked."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lora.rank and self.layers not in ("all", ()):
            raise ValueError(f"layers is {self.layers} and lora.rank {self.lora.rank}: adapters go into every layer, leave layers out")
        if self.layers == () and not self.embeddings and not self.lora.rank:
            raise ValueError("nothing would train: name layers, embeddings or lora.rank")
        return self


class GenerationConfig(SamplingConfig):
    """How answers are written."""

    max_new_tokens: int = Field(default=256, ge=8)
    """Longest answer; one that has not ended by then counts as malformed."""
    constrained: bool = False
    """Allow only what the form of an answer allows: tags in their places and nowhere else."""


class EmosdsConfig(Config):
    """One speech language model."""

    base: str = "meta-llama/Llama-3.2-3B-Instruct"
    """A causal language model by hub id or folder, or `embedded`: a small Llama that learns from nothing."""
    revision: str | None = None
    """Commit of the hub repository; None is its newest."""
    embedded: EmbeddedLlamaConfig = EmbeddedLlamaConfig()
    """Sizes of the embedded one; others do not read them."""
    inputs: Literal["units+residuals", "units", "residuals", "text"] = "units+residuals"
    """What it hears: both views of the speech, one of them, or in place of speech its true transcript (an oracle to compare with)."""
    unit_mode: UnitMode = "merged"
    """Runs of equal units as one, every n-th unit, or the unit of every frame."""
    downsample: int = Field(default=4, ge=1)
    """n of `downsample`."""
    clusters: int = Field(default=1000, ge=2)
    """K, the number of units of the codebook."""
    residual_width: int = Field(default=1024, ge=1)
    """D, the width of a residual vector."""
    injection: InjectionConfig = InjectionConfig()
    """How residuals enter."""
    residuals_from: Literal[1, 2] = 2
    """First stage that hears residuals beside units. Published is 2; with 1, its many sentences teach to read words from both."""
    emotions: Names = EMOTIONS
    """Canonical emotions that it may name, in the order of their tags."""
    instructions: Literal["full", "short"] = "full"
    """Worded instructions before every example, or one short line a stage, which a small model learns faster."""
    history_turns: int = Field(default=3, ge=0)
    """Turns of dialogue before the user's."""
    max_tokens: int = Field(default=3072, ge=16)
    """Longest sequence, prefix and answer together."""

    @field_validator("emotions")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for emotion in value:
                check_emotion(emotion)
        except RapportError as error:
            raise ValueError(str(error)) from error
        if len(value) < 2 or len(set(value)) < len(value):
            raise ValueError(f"emotions is {value}: wanted at least two, each once")
        return value

    @property
    def is_embedded(self) -> bool:
        """Whether the base is the small Llama that is built here."""
        return self.base == EMBEDDED

    @property
    def hears_units(self) -> bool:
        """Whether examples carry units."""
        return self.inputs in ("units+residuals", "units")

    def hears_residuals(self, stage: int) -> bool:
        """Whether the examples of a stage carry residuals: those from `residuals_from` on, and all where there is nothing else to hear."""
        return self.inputs == "residuals" or (self.inputs == "units+residuals" and stage >= self.residuals_from)
